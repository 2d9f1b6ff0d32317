//! What a binary offers to clients: its functions, their types, and a hash over both.

use forge_actors::app::handler::{Access, Meta};
use forge_actors::app::{Catalog, KindName, Registration};
use forge_actors::kernel::fault::AppCode;
use forge_actors::kernel::invocation::is_system;
use sha2::{Digest, Sha256};

use crate::problem::{Problem, Refusal, Refused};
use crate::read::{Graph, Reader};
use crate::shape::{Declarations, Docs, Shape};
use crate::typescript;

/// Hexadecimal digits of the hash: 64 bits tell a changed contract from an unchanged one, and fit into a log
/// line.
const HASH_DIGITS: usize = 16;

/// The functions that a contract lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Those of the applications.
    Application,
    /// Those of the node itself, `forge.*`: the dashboard's.
    System,
}

/// The functions that clients may call, and their types.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// Sorted by name.
    pub functions: Vec<Function>,
    /// The types that they name.
    pub declarations: Declarations,
    /// Changes when a function or a type does; documentation counts, because it is generated too.
    pub hash: String,
}

/// A function that clients may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its wire name.
    pub name: String,
    /// Its keys in `api`.
    pub keys: Vec<String>,
    /// What it is.
    pub kind: KindName,
    /// Who may call the function.
    pub access: Access,
    /// Its documentation.
    pub docs: Docs,
    /// Its arguments object.
    pub args: Shape,
    /// What it answers.
    pub output: Shape,
    /// Its own errors, as they stand in the envelope.
    pub error: Shape,
    /// Their codes.
    pub codes: Vec<AppCode>,
}

impl Contract {
    /// Reads the catalog. Jobs, crons and internal handlers are left out: no client calls them.
    pub fn of(catalog: &Catalog, audience: Audience) -> Result<Self, Refused> {
        let registrations: Vec<_> =
            catalog.iter().filter(|(name, registration)| audience.hears(name, &registration.meta)).collect();
        let signatures = registrations.iter().map(|(_, registration)| &registration.signature);
        let definitions: Vec<_> =
            signatures.flat_map(|signature| [signature.args, signature.output, signature.error]).collect();
        let (graph, roots) = Graph::of(&definitions).map_err(|problem| Refused(vec![problem]))?;
        let mut reader = Reader::new(&graph);
        let functions: Vec<_> = registrations
            .iter()
            .zip(roots.chunks_exact(3))
            .map(|((name, registration), roots)| {
                let (args, output) =
                    (reader.arguments(&[name, "args"], &roots[0]), reader.read(&[name, "result"], &roots[1]));
                let error = reader.read(&[name, "error"], &roots[2]);
                Function::of(name, registration, args, output, error)
            })
            .collect();
        let Reader { declarations, mut problems, .. } = reader;
        problems.extend(same_keys(&functions));
        if !problems.is_empty() {
            return Err(Refused(problems));
        }
        let mut contract = Self { functions, declarations, hash: String::new() };
        contract.hash = hash(&typescript::body(&contract));
        Ok(contract)
    }
}

/// A hash of the jobs and crons of a binary and of the types of their arguments. Nodes of equal hashes can
/// read the arguments of the same jobs. Types that no client can be generated for count as far as they can
/// be read.
pub fn build_hash(catalog: &Catalog) -> String {
    let is_job = |registration: &Registration| match registration.meta.kind() {
        KindName::Job | KindName::Cron => true,
        KindName::Query | KindName::Mutation | KindName::Action | KindName::Workflow => false,
    };
    let jobs: Vec<_> = catalog.iter().filter(|(_, registration)| is_job(registration)).collect();
    let definitions: Vec<_> = jobs.iter().map(|(_, registration)| registration.signature.args).collect();
    let names: Vec<_> = jobs.iter().map(|(name, _)| *name).collect();
    let Ok((graph, roots)) = Graph::of(&definitions) else { return hash(&names.join(" ")) };
    let mut reader = Reader::new(&graph);
    let shapes: Vec<_> = names
        .iter()
        .zip(&roots)
        .map(|(name, root)| (*name, reader.arguments(&[name, "args"], root)))
        .collect();
    hash(&format!("{shapes:?} {:?}", reader.declarations))
}

impl Audience {
    fn hears(self, name: &str, meta: &Meta) -> bool {
        let is_function = match meta.kind() {
            KindName::Query | KindName::Mutation | KindName::Action => true,
            KindName::Job | KindName::Cron | KindName::Workflow => false,
        };
        is_function && meta.access != Access::Internal && is_system(name) == (self == Self::System)
    }
}

impl Function {
    fn of(name: &str, registration: &Registration, args: Shape, output: Shape, error: Shape) -> Self {
        let Registration { meta, signature, .. } = registration;
        Self {
            name: name.to_owned(),
            keys: name.split('.').map(camel).collect(),
            kind: meta.kind(),
            access: meta.access,
            docs: Docs { text: meta.doc.to_owned(), deprecated: meta.deprecated.map(str::to_owned) },
            args,
            output,
            error,
            codes: signature.codes.to_vec(),
        }
    }
}

/// `open_tasks` → `openTasks`.
fn camel(snake: &str) -> String {
    let mut words = snake.split('_').filter(|word| !word.is_empty());
    let mut key = words.next().unwrap_or(snake).to_owned();
    for word in words {
        let mut letters = word.chars();
        key.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        key.push_str(letters.as_str());
    }
    key
}

/// Functions whose keys lead to, or through, another one.
fn same_keys(functions: &[Function]) -> Vec<Problem> {
    let mut sorted: Vec<_> = functions.iter().collect();
    sorted.sort_by(|a, b| a.keys.cmp(&b.keys));
    let clash = sorted.array_windows().filter(|[first, second]| second.keys.starts_with(&first.keys));
    clash
        .map(|[_, second]| Problem {
            trail: vec![second.name.clone()],
            refusal: Refusal::SameKey(second.keys.join(".")),
        })
        .collect()
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chars().take(HASH_DIGITS).collect()
}
