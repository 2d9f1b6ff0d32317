//! Every handler of the binary, found at link time, sorted and checked at boot.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::catalog_error::CatalogError;
use crate::app::context::{CallScope, Ctx};
use crate::app::cron::CronRun;
use crate::app::decoded::{Decoded, HandlerKind, Runnable};
use crate::app::error::AppError;
use crate::app::handler::{Handler, KindOptions, Meta};
use crate::app::job::{JobHandler, JobResource, ResultOfEffect};
use crate::app::job_result;
use crate::app::kind::Kind;
use crate::app::secret;
use crate::app::wire_type::{Definition, WireType, holds_secrets};
use crate::app::workflow::MigrationRegistration;
use crate::app::workflow_run::limits::RUN_RESULT_BYTES_MAX;
use crate::kernel::fault::{AppCode, Fault};
use crate::kernel::integer::Int53;
use crate::kernel::invocation::is_system;

/// Adds handlers to the catalog; only handlers that are written by hand need it.
#[macro_export]
macro_rules! register {
    ($($handler:ty),+ $(,)?) => {$(
        $crate::__private::inventory::submit! { $crate::app::catalog::Registration::of::<$handler>() }
    )+};
}

/// A handler whose types are erased.
pub struct Registration {
    /// Everything that is known of the handler without running it.
    pub meta: Meta,
    /// The types of its arguments, its result and its error.
    pub signature: Signature,
    /// Makes the result of a job of what the effect of its `ctx.commit` returns.
    pub(crate) result_of_effect: ResultOfEffect,
    decode: Decode,
    redact: Redact,
    redact_output: Redact,
}

type Decode = fn(&[u8]) -> Result<Decoded, Fault>;

/// Writes arguments or a result again, without the values of secrets; `None` when they do not fit.
type Redact = fn(&[u8]) -> Option<String>;

inventory::collect!(Registration);

impl Registration {
    /// The registration of `H`. Does not compile when the kind of `H` and that of its `META` differ.
    pub const fn of<H: Handler>() -> Self {
        assert!(
            H::META.kind() as u8 == H::Kind::NAME as u8,
            "`META` is made by the constructor of the handler's kind: `Meta::query(..)` for a query"
        );
        Self {
            meta: H::META,
            signature: Signature::of::<H>(),
            result_of_effect: job_result::of_effect::<H>,
            decode: decode::<H>,
            redact: redact::<H>,
            redact_output: redact_output::<H>,
        }
    }

    /// Reads arguments into a message that is ready to run.
    ///
    /// # Errors
    /// `VALIDATION` names the arguments that do not fit; `BAD_REQUEST` says that the text is not an object.
    pub fn decode(&self, args: &[u8]) -> Result<Decoded, Fault> {
        (self.decode)(args)
    }

    /// Stored arguments, as people may see them. Where a type among them is secret, they are read and written
    /// again without the secrets; of arguments that do not fit, only the names are left then.
    pub fn shown_arguments(&self, args: &str) -> String {
        match self.meta.cron_meta().map(|_| CronRun::split(args.as_bytes())) {
            Some(Ok((run, own))) => run.join(&self.shown_message(&String::from_utf8_lossy(&own))),
            Some(Err(_)) | None => self.shown_message(args),
        }
    }

    /// The stored result of a job, as people may see it.
    pub fn shown_result(&self, result: &str) -> String {
        if !holds_secrets(self.signature.output) {
            return result.to_owned();
        }
        (self.redact_output)(result.as_bytes()).unwrap_or_else(|| secret::names_only(result))
    }

    /// The handler's own arguments: those of a cron without the run around them.
    fn shown_message(&self, args: &str) -> String {
        if !holds_secrets(self.signature.args) {
            return args.to_owned();
        }
        (self.redact)(args.as_bytes()).unwrap_or_else(|| secret::names_only(args))
    }
}

/// The types of a handler.
#[derive(Clone, Copy)]
pub struct Signature {
    /// The message: its fields are the arguments.
    pub args: Definition,
    /// The handler's result.
    pub output: Definition,
    /// The handler's own errors, as the envelope of a response holds them; a union without members when there
    /// are none.
    pub error: Definition,
    /// The codes of those errors.
    pub codes: &'static [AppCode],
}

impl Signature {
    /// Of a handler.
    pub const fn of<H: Handler>() -> Self {
        Self {
            args: H::definition,
            output: H::Output::definition,
            error: H::Error::DEFINITION,
            codes: H::Error::CODES,
        }
    }
}

/// True for a handler of this crate.
fn is_forges(meta: &Meta) -> bool {
    meta.module.split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

struct TypedMessage<H>(H);

impl<H: Handler> Runnable<H::Kind> for TypedMessage<H> {
    fn run(
        self: Box<Self>,
        scope: CallScope,
        resources: <H::Kind as Kind>::Resources,
    ) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            let bytes_max = scope.shared.services.result_bytes_max;
            let ctx = Ctx::<H::Kind>::new(scope, resources);
            let output = self.0.run(&ctx).await.map_err(AppError::into_fault)?;
            H::Kind::check_end(&ctx.resources)?;
            match H::META.options {
                KindOptions::Job(_) | KindOptions::Cron(_) => job_result::written(&output),
                KindOptions::Workflow(_) => Ok(output.to_json_within(RUN_RESULT_BYTES_MAX)?.into()),
                KindOptions::Query(_) | KindOptions::Mutation(_) | KindOptions::Action => {
                    Ok(output.to_json_within(bytes_max)?.into())
                }
            }
        })
    }
}

fn decode<H: Handler>(args: &[u8]) -> Result<Decoded, Fault> {
    Ok(H::Kind::decoded(Box::new(TypedMessage(H::decode(args)?))))
}

fn redact<H: Handler>(args: &[u8]) -> Option<String> {
    shown(&H::decode(args).ok()?)
}

fn redact_output<H: Handler>(result: &[u8]) -> Option<String> {
    shown(&H::Output::from_json(result).ok()?)
}

fn shown<T: WireType>(value: &T) -> Option<String> {
    let (json, _) = secret::for_people(|| value.to_json());
    String::from_utf8(json.ok()?).ok()
}

/// Checks that the jobs of each group have the same limit: they count together.
fn check_groups(handlers: &[(String, &'static Registration)]) -> Result<(), CatalogError> {
    let mut rates: HashMap<&str, (&str, Duration)> = HashMap::new();
    let mut concurrencies: HashMap<&str, (&str, u32)> = HashMap::new();
    for (name, known) in handlers {
        let Some(limits) = known.meta.job_meta().map(|job| job.limits) else { continue };
        if let Some((rate, group)) = limits.rate.and_then(|rate| Some((rate, rate.group?))) {
            let (one, per) = *rates.entry(group).or_insert((name, rate.per));
            if per != rate.per {
                let (group, one, other) = (group.to_owned(), one.to_owned(), name.to_owned());
                return Err(CatalogError::RateGroup { group, one, other });
            }
        }
        if let Some((found, group)) = limits.concurrency.and_then(|found| Some((found, found.group?))) {
            let (one, limit) = *concurrencies.entry(group).or_insert((name, found.limit));
            if limit != found.limit {
                let (group, one, other) = (group.to_owned(), one.to_owned(), name.to_owned());
                return Err(CatalogError::ConcurrencyGroup { group, one, other });
            }
        }
    }
    Ok(())
}

type WorkflowVersions = BTreeMap<(String, u32), &'static Registration>;

/// True for two versions of one workflow.
fn are_versions(one: &Meta, other: &Meta) -> bool {
    match (one.workflow_meta(), other.workflow_meta()) {
        (Some(one), Some(other)) => one.version != other.version,
        _ => false,
    }
}

/// The migrations that are linked into the binary. Each leads to a version that is linked too.
fn workflow_migrations(
    workflows: &WorkflowVersions,
) -> Result<BTreeMap<(String, u32), &'static MigrationRegistration>, CatalogError> {
    let mut known = BTreeMap::new();
    for migration in inventory::iter::<MigrationRegistration> {
        let MigrationRegistration { meta, from, to, file, line, .. } = migration;
        let workflow = meta.wire_name();
        if !workflows.keys().any(|(name, _)| *name == workflow) {
            continue;
        }
        let place = format!("{file}:{line}");
        if from >= to || !workflows.contains_key(&(workflow.clone(), *to)) {
            return Err(CatalogError::Migration { workflow, from: *from, to: *to, place });
        }
        let names = std::iter::once(workflow.clone()).chain(meta.aliases().iter().map(ToString::to_string));
        for name in names {
            if known.insert((name, *from), migration).is_some() {
                return Err(CatalogError::Migration { workflow, from: *from, to: *to, place });
            }
        }
    }
    Ok(known)
}

/// The handlers by wire name.
pub struct Catalog {
    by_name: HashMap<String, &'static Registration>,
    sorted: Vec<(String, &'static Registration)>,
    /// By name or alias, and version.
    workflows: WorkflowVersions,
    /// By name or alias, and the version that they begin with.
    migrations: BTreeMap<(String, u32), &'static MigrationRegistration>,
    /// Read when it is asked for first: the types of all arguments are walked through for it.
    job_handlers: OnceLock<Arc<[JobHandler]>>,
}

impl Catalog {
    /// Collects the handlers that are linked into the binary, sorted by name, since link order differs
    /// between builds.
    ///
    /// # Errors
    /// Those of [`from_registrations`](Self::from_registrations).
    pub fn build() -> Result<Self, CatalogError> {
        Self::from_registrations(inventory::iter::<Registration>.into_iter())
    }

    /// A catalog of the given registrations.
    ///
    /// # Errors
    /// When there are none, two of one name, or one of an application with a name of Forge's own.
    pub fn from_registrations(
        registrations: impl Iterator<Item = &'static Registration>,
    ) -> Result<Self, CatalogError> {
        let mut sorted: Vec<_> =
            registrations.map(|registration| (registration.meta.wire_name(), registration)).collect();
        if sorted.is_empty() {
            return Err(CatalogError::Empty);
        }
        let mut names = sorted.clone();
        names.extend(
            sorted.iter().flat_map(|(_, known)| {
                known.meta.aliases().iter().map(|alias| ((*alias).to_owned(), *known))
            }),
        );
        for list in [&mut sorted, &mut names] {
            list.sort_by(|(a_name, a), (b_name, b)| {
                let version = |known: &Registration| known.meta.workflow_meta().map(|own| own.version);
                (a_name, version(a), a.meta.file, a.meta.line).cmp(&(
                    b_name,
                    version(b),
                    b.meta.file,
                    b.meta.line,
                ))
            });
        }
        let place = |meta: &Meta| format!("{}:{}", meta.file, meta.line);
        if let Some((name, known)) =
            names.iter().find(|(name, known)| is_system(name) && !is_forges(&known.meta))
        {
            return Err(CatalogError::Reserved { name: name.to_owned(), place: place(&known.meta) });
        }
        let is_duplicate = |[(a, first), (b, second)]: &&[(String, &'static Registration); 2]| {
            a == b && !are_versions(&first.meta, &second.meta)
        };
        if let Some([(name, first), (_, second)]) = names.array_windows().find(is_duplicate) {
            return Err(CatalogError::Duplicate {
                name: name.to_owned(),
                first: place(&first.meta),
                second: place(&second.meta),
            });
        }
        check_groups(&sorted)?;
        let workflows: WorkflowVersions = names
            .iter()
            .filter_map(|(name, known)| Some(((name.clone(), known.meta.workflow_meta()?.version), *known)))
            .collect();
        let migrations = workflow_migrations(&workflows)?;
        // Of several versions of a workflow, the last one that is not deprecated has the name.
        let (deprecated, current): (Vec<_>, Vec<_>) = names
            .into_iter()
            .partition(|(_, known)| known.meta.workflow_meta().is_some_and(|own| own.deprecated));
        let by_name = deprecated.into_iter().chain(current).collect();
        Ok(Self { by_name, sorted, workflows, migrations, job_handlers: OnceLock::new() })
    }

    /// A version of a workflow, by its name or an alias.
    pub fn workflow(&self, name: &str, version: u32) -> Option<&'static Registration> {
        self.workflows.get(&(name.to_owned(), version)).copied()
    }

    /// Every version of every workflow, under all of its names.
    pub fn workflows(&self) -> impl Iterator<Item = (&str, u32, &'static Registration)> {
        self.workflows.iter().map(|((name, version), known)| (name.as_str(), *version, *known))
    }

    /// Migrations from versions that this binary has no function for: name, version, and the migration.
    pub fn workflow_migrations(&self) -> impl Iterator<Item = (&str, u32, &'static MigrationRegistration)> {
        self.migrations
            .iter()
            .filter(|(of, _)| !self.workflows.contains_key(of))
            .map(|((name, from), migration)| (name.as_str(), *from, *migration))
    }

    /// Every name of every handler that runs as a job, with the aliases.
    pub fn queued(&self) -> impl Iterator<Item = (&str, &'static Registration)> {
        self.by_name
            .iter()
            .filter(|(_, known)| known.meta.job_meta().is_some())
            .map(|(name, known)| (name.as_str(), *known))
    }

    /// What runs as a job, by name, with the aliases.
    pub fn job_handlers(&self) -> Arc<[JobHandler]> {
        let resource = |(word, amount): &(&str, u64)| JobResource {
            word: (*word).to_owned(),
            amount: Int53::count(*amount),
        };
        let handler = |(name, known): (&str, &Registration)| {
            let meta = known.meta.job_meta()?;
            Some(JobHandler {
                name: name.to_owned(),
                queue: meta.queue.to_owned(),
                hides_arguments: holds_secrets(known.signature.args),
                capability: meta.capability.map(str::to_owned),
                resources: meta.resources.iter().map(resource).collect(),
                concurrency: meta.limits.concurrency.map(|concurrency| concurrency.limit),
            })
        };
        let sorted = || {
            let mut handlers: Vec<_> = self.queued().filter_map(handler).collect();
            handlers.sort_by(|a, b| a.name.cmp(&b.name));
            handlers.into()
        };
        Arc::clone(self.job_handlers.get_or_init(sorted))
    }

    /// The handler with this name or alias.
    pub fn get(&self, name: &str) -> Option<&'static Registration> {
        self.by_name.get(name).copied()
    }

    /// All handlers, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'static Registration)> {
        self.sorted.iter().map(|(name, registration)| (name.as_str(), *registration))
    }

    /// How many handlers there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// False: an empty catalog cannot be built.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{
        Job, JobContext, JobLimits, JobMeta, JobRate, KindOptions, Query, QueryContext, Result,
    };

    #[forge_app_macros::data]
    struct Mine {}

    impl Handler for Mine {
        type Kind = Query;
        type Output = ();
        type Error = Fault;
        const META: Meta = Meta::query("shop::forge", "mine", "src/forge.rs", 3);

        async fn run(self, _ctx: &QueryContext) -> Result<()> {
            Ok(())
        }
    }

    static MINE: Registration = Registration::of::<Mine>();

    /// A job of the group `bank`, which counts for so many seconds.
    #[forge_app_macros::data]
    struct Counted<const SECS: u64> {}

    impl<const SECS: u64> Handler for Counted<SECS> {
        type Kind = Job;
        type Output = ();
        type Error = Fault;
        const META: Meta = Meta {
            options: KindOptions::Job(JobMeta {
                limits: JobLimits {
                    rate: Some(JobRate {
                        requests: 9,
                        per: Duration::from_secs(SECS),
                        key: &[],
                        group: Some("bank"),
                    }),
                    ..JobLimits::NONE
                },
                ..JobMeta::DEFAULT
            }),
            ..Meta::job("shop::pay", if SECS == 60 { "by_minute" } else { "by_hour" }, "src/pay.rs", 3)
        };

        async fn run(self, _ctx: &JobContext) -> Result<()> {
            Ok(())
        }
    }

    static GROUP: [Registration; 2] =
        [Registration::of::<Counted<60>>(), Registration::of::<Counted<3_600>>()];

    #[test]
    fn jobs_of_one_group_have_one_time_of_their_rate_limit() {
        let refused = Catalog::from_registrations(GROUP.iter()).err().map(|error| error.to_string());
        let expected = "the jobs `pay.by_hour` and `pay.by_minute` share the rate limit of the group `bank`";
        assert!(refused.as_ref().is_some_and(|text| text.starts_with(expected)), "{refused:?}");
        assert!(Catalog::from_registrations(GROUP[..1].iter()).is_ok());
    }

    #[test]
    fn names_of_forges_own_handlers_are_kept_for_them() {
        let refused = Catalog::from_registrations([&MINE].into_iter()).err().map(|error| error.to_string());
        let expected = "the handler `forge.mine` of src/forge.rs:3 has a name that begins with `forge.`";
        assert!(refused.as_ref().is_some_and(|text| text.starts_with(expected)), "{refused:?}");
    }
}
