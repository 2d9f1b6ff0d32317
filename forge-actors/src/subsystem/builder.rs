//! What a subsystem finds when it is built: who the node is, its configuration, and what was made before.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::net::SocketAddr;

use super::section::{ConfigSection, Sections};
use crate::kernel::ids::NodeId;
use crate::kernel::node::ApplicationInfo;
use crate::kernel::resource::ResourceAmounts;

/// Who a node is.
#[derive(Debug, Clone)]
pub struct NodeProfile {
    /// Its id, new for each process.
    pub id: NodeId,
    /// Its name, as people read it.
    pub name: String,
    /// What it does, as the configuration names the roles.
    pub roles: Vec<String>,
    /// What it can do that not every node can, as the configuration names it.
    pub capabilities: Vec<String>,
    /// What jobs may take of it at a time.
    pub resources: ResourceAmounts,
    /// What it serves.
    pub application: ApplicationInfo,
}

impl NodeProfile {
    /// True when the node has the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

/// The address on which a node answers HTTP.
#[derive(Debug, Clone, Copy)]
pub struct HttpAddress(pub SocketAddr);

/// A node that is being built.
///
/// Values are kept by type, one of each: those that exist before the tree (pools, open ports) and the
/// handles of the subsystems that were built already.
pub struct NodeBuilder {
    /// Who the node is.
    pub profile: NodeProfile,
    sections: Sections,
    values: HashMap<TypeId, Box<dyn Any + Send>>,
}

impl NodeBuilder {
    /// A node with this configuration, and nothing built yet.
    pub fn new(profile: NodeProfile, sections: Sections) -> Self {
        Self { profile, sections, values: HashMap::new() }
    }

    /// A section of the configuration.
    pub fn config<C: ConfigSection>(&self) -> C {
        self.sections.get::<C>()
    }

    /// Keeps a value for later subsystems.
    ///
    /// # Panics
    /// When there is one of this type already: the later one would hide the earlier one in silence.
    pub fn provide<T: Send + 'static>(&mut self, value: T) {
        let before = self.values.insert(TypeId::of::<T>(), Box::new(value));
        assert!(before.is_none(), "the node has a {} already", type_name::<T>());
    }

    /// A copy of a value.
    ///
    /// # Panics
    /// When nothing provided it: the order of the node's table is wrong.
    pub fn get<T: Clone + Send + 'static>(&self) -> T {
        self.find::<T>().unwrap_or_else(|| panic!("no earlier subsystem provides a {}", type_name::<T>()))
    }

    /// A copy of a value, when there is one.
    pub fn find<T: Clone + Send + 'static>(&self) -> Option<T> {
        self.values.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref::<T>()).cloned()
    }

    /// A value, out of the node: for what only one subsystem may own.
    pub fn take<T: Send + 'static>(&mut self) -> Option<T> {
        let value = self.values.remove(&TypeId::of::<T>())?;
        value.downcast::<T>().ok().map(|value| *value)
    }
}
