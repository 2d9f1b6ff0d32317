//! Every handler of the binary, found at link time, sorted and checked at boot.

use std::collections::HashMap;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::context::{Ctx, Scope};
use crate::app::handler::{Handler, Meta};
use crate::app::kind::KindName;
use crate::app::wire_type::Signature;
use crate::db::handle::Db;
use crate::kernel::diagnose::{Diagnose, FailureKind};
use crate::kernel::fault::Fault;

/// Makes a handler known to the catalog. The attributes do this themselves.
#[macro_export]
macro_rules! register {
    ($($handler:ty),+ $(,)?) => {$(
        $crate::__private::inventory::submit! { $crate::app::catalog::Registration::of::<$handler>() }
    )+};
}

/// One handler, erased.
pub struct Registration {
    /// What is known of it.
    pub meta: Meta,
    /// The types of its arguments, its result and its error.
    pub signature: Signature,
    decode: Decode,
}

type Decode = fn(&[u8]) -> Result<Box<dyn Decoded>, Fault>;

inventory::collect!(Registration);

impl Registration {
    /// The registration of `H`.
    pub const fn of<H: Handler>() -> Self {
        Self { meta: H::META, signature: Signature::of::<H>(), decode: decode::<H> }
    }

    /// Reads arguments into a message that is ready to run.
    pub fn decode(&self, args: &[u8]) -> Result<Box<dyn Decoded>, Fault> {
        (self.decode)(args)
    }
}

/// A message whose arguments were accepted.
pub trait Decoded: Send {
    /// Runs it; `db` is what its kind is entitled to. Answers the output as JSON.
    fn run(self: Box<Self>, scope: Scope, db: Option<Db>) -> BoxFuture<'static, Result<Bytes, Fault>>;
}

struct Message<H>(H);

impl<H: Handler> Decoded for Message<H> {
    fn run(self: Box<Self>, scope: Scope, db: Option<Db>) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            let ctx = Ctx::<H::Kind>::new(scope, db);
            let output = self.0.run(&ctx).await.map_err(Into::<Fault>::into)?;
            serde_json::to_vec(&output).map(Bytes::from).map_err(Fault::internal)
        })
    }
}

fn decode<H: Handler>(args: &[u8]) -> Result<Box<dyn Decoded>, Fault> {
    Ok(Box::new(Message(H::decode(args)?)))
}

/// Why the handlers of a binary do not make a catalog.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing registered: the binary never named the application's crate, so the linker left it out.
    #[error("no handlers are linked into this binary; name the application's crate in `forge::main!(..)`")]
    Empty,
    /// Two handlers answer to one name.
    #[error("two handlers are named `{name}`: {first} and {second}; rename one, or give it `name = \"..\"`")]
    Duplicate {
        /// The wire name.
        name: String,
        /// `file:line` of one.
        first: String,
        /// `file:line` of the other.
        second: String,
    },
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "no-handlers",
            Self::Duplicate { .. } => "duplicate-handler",
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Failed
    }
}

/// The handlers by wire name.
pub struct Catalog {
    by_name: HashMap<String, &'static Registration>,
    sorted: Vec<(String, &'static Registration)>,
}

impl Catalog {
    /// Collects what is linked in. Link order differs between builds, so everything is sorted by name.
    pub fn build() -> Result<Self, Error> {
        Self::from_registrations(inventory::iter::<Registration>.into_iter())
    }

    /// A catalog of the given registrations.
    pub fn from_registrations(
        registrations: impl Iterator<Item = &'static Registration>,
    ) -> Result<Self, Error> {
        let mut sorted: Vec<_> =
            registrations.map(|registration| (registration.meta.wire_name(), registration)).collect();
        if sorted.is_empty() {
            return Err(Error::Empty);
        }
        let aliases = |meta: &Meta| meta.job.map_or(&[][..], |job| job.aliases);
        let mut names = sorted.clone();
        names.extend(
            sorted.iter().flat_map(|(_, known)| {
                aliases(&known.meta).iter().map(|alias| ((*alias).to_owned(), *known))
            }),
        );
        for list in [&mut sorted, &mut names] {
            list.sort_by(|(a_name, a), (b_name, b)| {
                (a_name, a.meta.file, a.meta.line).cmp(&(b_name, b.meta.file, b.meta.line))
            });
        }
        if let Some([(name, first), (_, second)]) = names.array_windows().find(|[(a, _), (b, _)]| a == b) {
            let place = |meta: &Meta| format!("{}:{}", meta.file, meta.line);
            return Err(Error::Duplicate {
                name: name.to_owned(),
                first: place(&first.meta),
                second: place(&second.meta),
            });
        }
        Ok(Self { by_name: names.into_iter().collect(), sorted })
    }

    /// Every name that a handler of this kind answers to, its aliases too.
    pub fn names_of(&self, kind: KindName) -> impl Iterator<Item = (&str, &'static Registration)> {
        self.by_name
            .iter()
            .filter(move |(_, known)| known.meta.kind == kind)
            .map(|(name, known)| (name.as_str(), *known))
    }

    /// The handler of that name; durable kinds answer to their aliases too.
    pub fn get(&self, name: &str) -> Option<&'static Registration> {
        self.by_name.get(name).copied()
    }

    /// All handlers, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'static Registration)> {
        self.sorted.iter().map(|(name, registration)| (name.as_str(), *registration))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Never: an empty catalog is an error.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}
