//! A limit of calls that run at the same time, of which no function and no caller may take everything.
//!
//! No call waits for a place here: without one it fails at once, with the limit that was reached, and its
//! caller decides when to try again.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use dashmap::DashMap;

/// How many calls run, and how many may.
pub struct ConcurrencyLimit {
    /// Below zero for a moment, while a place is given up and taken again at the same time.
    taken: AtomicI64,
    max: u32,
}

/// One taken place, free again when this is dropped.
pub struct ConcurrencyPermit(Arc<ConcurrencyLimit>);

impl ConcurrencyLimit {
    /// A limit of `max`, of which nothing is taken.
    pub fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { taken: AtomicI64::new(0), max })
    }

    /// Takes a place; `None` when there is none.
    pub fn acquire(self: &Arc<Self>) -> Option<ConcurrencyPermit> {
        let one_more = |taken: i64| (taken < i64::from(self.max)).then_some(taken + 1);
        self.taken.fetch_update(Relaxed, Relaxed, one_more).ok().map(|_| ConcurrencyPermit(Arc::clone(self)))
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

/// A place whose holder gives it up while it waits for something that is limited elsewhere.
pub struct CallPlace {
    permit: ConcurrencyPermit,
    /// How many waits the place is given up for.
    waits: AtomicU32,
}

/// The place is free until this is dropped. Then it is taken again, beyond the limit if it is full: what
/// waits elsewhere is bounded there.
pub struct VacatedPlace(Arc<CallPlace>);

impl CallPlace {
    /// Gives the place up for one wait.
    pub fn vacate(self: Arc<Self>) -> VacatedPlace {
        if self.waits.fetch_add(1, Relaxed) == 0 {
            self.permit.0.taken.fetch_sub(1, Relaxed);
        }
        VacatedPlace(self)
    }
}

impl Drop for VacatedPlace {
    fn drop(&mut self) {
        if self.0.waits.fetch_sub(1, Relaxed) == 1 {
            self.0.permit.0.taken.fetch_add(1, Relaxed);
        }
    }
}

/// Stands for a caller. The hash is keyed with a random number of this process, so that no caller can choose
/// whose places it uses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerHash(u64);

impl CallerHash {
    /// Of whatever tells callers apart.
    pub fn of(caller: impl Hash) -> Self {
        static RANDOM: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(RANDOM.hash_one(caller))
    }
}

/// The places of each caller.
struct CallerLimits {
    taken: DashMap<CallerHash, u32>,
    max: u32,
}

struct CallerPermit {
    limits: Arc<CallerLimits>,
    caller: CallerHash,
}

impl CallerLimits {
    fn acquire(self: &Arc<Self>, caller: CallerHash) -> Option<CallerPermit> {
        let mut taken = self.taken.entry(caller).or_default();
        if *taken >= self.max {
            return None;
        }
        *taken += 1;
        Some(CallerPermit { limits: Arc::clone(self), caller })
    }
}

impl Drop for CallerPermit {
    fn drop(&mut self) {
        self.limits.taken.remove_if_mut(&self.caller, |_, taken| {
            *taken -= 1;
            *taken == 0
        });
    }
}

/// The parts of a limit that one function and one caller may take, each more than 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Of one function.
    pub function: f64,
    /// Of one caller.
    pub caller: f64,
}

/// See the module.
pub struct FairLimit {
    all: Arc<ConcurrencyLimit>,
    functions: HashMap<Box<str>, Arc<ConcurrencyLimit>>,
    callers: Arc<CallerLimits>,
}

/// A taken place, counted for its function and its caller.
pub struct FairPermit {
    place: Arc<CallPlace>,
    _function: Option<ConcurrencyPermit>,
    _caller: Option<CallerPermit>,
}

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReached {
    /// There is no place at all.
    All,
    /// The function has its share.
    Function,
    /// The caller has its share.
    Caller,
}

impl FairLimit {
    /// `max` places for calls of these functions.
    pub fn new<'a>(max: u32, shares: Shares, functions: impl Iterator<Item = &'a str>) -> Self {
        let of_function = part(max, shares.function);
        Self {
            all: ConcurrencyLimit::new(max),
            functions: functions.map(|name| (name.into(), ConcurrencyLimit::new(of_function))).collect(),
            callers: Arc::new(CallerLimits { taken: DashMap::new(), max: part(max, shares.caller) }),
        }
    }

    /// Takes a place for a call of `function`. Work of the node itself has no caller, and no share of one.
    ///
    /// # Errors
    /// The limit that was reached; no place is kept.
    pub fn acquire(&self, function: &str, caller: Option<CallerHash>) -> Result<FairPermit, LimitReached> {
        let permit = self.all.acquire().ok_or(LimitReached::All)?;
        let of_function = self.functions.get(function);
        let function = of_function.map(|limit| limit.acquire().ok_or(LimitReached::Function)).transpose()?;
        let caller =
            caller.map(|caller| self.callers.acquire(caller).ok_or(LimitReached::Caller)).transpose()?;
        let place = Arc::new(CallPlace { permit, waits: AtomicU32::new(0) });
        Ok(FairPermit { place, _function: function, _caller: caller })
    }
}

impl FairPermit {
    /// The place, which its holder may give up for a while.
    pub fn place(&self) -> &Arc<CallPlace> {
        &self.place
    }
}

/// That part of `max`, rounded up, and at least one: a share of nothing would refuse everything.
fn part(max: u32, share: f64) -> u32 {
    ((f64::from(max) * share).ceil() as u32).clamp(1, max.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(max: u32) -> FairLimit {
        FairLimit::new(max, Shares { function: 0.5, caller: 0.25 }, ["a", "b"].into_iter())
    }

    #[test]
    fn nobody_takes_everything() {
        let limit = limit(8);
        let caller = |name: &str| Some(CallerHash::of(name));
        let mut held: Vec<_> = (0..2).map(|_| limit.acquire("a", caller("ana")).expect("a share")).collect();
        assert_eq!(limit.acquire("a", caller("ana")).err(), Some(LimitReached::Caller));
        assert_eq!(limit.acquire("b", caller("ana")).err(), Some(LimitReached::Caller), "of all functions");
        held.extend((0..2).map(|_| limit.acquire("a", caller("bob")).expect("a share")));
        assert_eq!(limit.acquire("a", caller("eve")).err(), Some(LimitReached::Function));
        assert_eq!(limit.acquire("a", None).err(), Some(LimitReached::Function));
        held.extend((0..2).map(|_| limit.acquire("b", caller("eve")).expect("others are not touched")));
        held.extend((0..2).map(|_| limit.acquire("b", None).expect("others are not touched")));
        assert_eq!(limit.acquire("c", caller("zoe")).err(), Some(LimitReached::All));
        held.clear();
        assert_eq!(limit.all.taken.load(Relaxed), 0);
        assert!(limit.callers.taken.is_empty(), "callers that have gone are forgotten");
    }

    #[test]
    fn a_vacated_place_is_of_others_until_its_holder_comes_back() {
        let limit = limit(1);
        let holder = limit.acquire("a", None).expect("a free place");
        assert_eq!(limit.acquire("b", None).err(), Some(LimitReached::All));
        let (first, second) = (Arc::clone(holder.place()).vacate(), Arc::clone(holder.place()).vacate());
        let other = limit.acquire("b", None).expect("the holder waits elsewhere");
        assert_eq!(limit.acquire("c", None).err(), Some(LimitReached::All), "two waits free one place");
        drop(first);
        assert_eq!(limit.all.taken.load(Relaxed), 1);
        drop(second);
        assert_eq!(limit.all.taken.load(Relaxed), 2, "the holder is not shut out");
        drop((holder, other));
        assert_eq!(limit.all.taken.load(Relaxed), 0);
    }

    #[test]
    fn a_share_is_at_least_one_place() {
        let check = |max, share, expected| assert_eq!(part(max, share), expected, "{share} of {max}");
        check(1_024, 0.5, 512);
        check(1_024, 1.0, 1_024);
        check(3, 0.5, 2);
        check(1, 0.01, 1);
    }
}
