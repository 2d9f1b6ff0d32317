//! The cluster as a subsystem: the registry of nodes and the mesh. Provides the [`Cluster`].

use std::sync::Arc;

use super::config::ClusterConfig;
use super::paths::{CLUSTER, DIALER, ENDPOINT, LINKS, MESH, MESH_LISTENER, NODE_EXPIRY, REGISTRY};
use super::{Cluster, ClusterDeps, MeshOptions, NodeIdentity};
use crate::app::context::Invoke;
use crate::app::node::{Build, Peers};
use crate::app::token::Tokens;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::kernel::node::NodeState;
use crate::leader::{Leader, MAINTENANCE};
use crate::subsystem::{
    ActorNote, HealthVerdict, HttpAddress, NodeBuilder, Part, ReadinessRule, SectionEntry, Subsystem,
};
use crate::supervise::StartError;

/// See the module. Takes [`MeshOptions`], whose port is open, where the node has a mesh.
pub struct ClusterSubsystem;

impl Subsystem for ClusterSubsystem {
    const ROOT: ActorNote = ActorNote::new(&CLUSTER, "knows the other nodes").routes_peer_commands();
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&REGISTRY, "keeps this node's row and the list of the others"),
        ActorNote::new(&NODE_EXPIRY, "deletes the rows of dead nodes, while this node leads `maintenance`"),
        ActorNote::new(&MESH, "connections to the other nodes (with discovery)").routes_peer_commands(),
        ActorNote::new(&ENDPOINT, "hands authenticated connections to ractor_cluster").routes_peer_commands(),
        ActorNote::new(&LINKS, "one actor for each connection").safe_to_stop_below().routes_peer_commands(),
        ActorNote::new(&MESH_LISTENER, "accepts connections"),
        ActorNote::new(&DIALER, "connects, and connects again after a failure"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<ClusterConfig>()];
    const CHECK: Option<ReadinessRule> = Some(ReadinessRule { name: "clock", actors: &[] });

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let config = node.config::<ClusterConfig>();
        let own = node.profile.clone();
        let invoke = node.get::<Arc<dyn Invoke>>();
        let identity = NodeIdentity {
            id: own.id,
            name: own.name,
            roles: own.roles,
            capabilities: own.capabilities,
            resources: own.resources,
            address: node.find::<HttpAddress>().map(|bound| config.http_address(bound.0)),
            mesh_address: None,
            build: node.find::<Build>().map(|build| build.0),
            job_names: invoke.job_handlers().iter().map(|handler| handler.name.to_owned()).collect(),
        };
        let (cluster, child) = Cluster::new(ClusterDeps {
            config,
            identity,
            database: node.get::<Database>(),
            hints: node.get::<HintHub>(),
            terms: node.get::<Leader>().stand_for(MAINTENANCE),
            leeway: node.find::<Tokens>().map(|tokens| tokens.leeway()),
            invoke,
            mesh: node.take::<MeshOptions>(),
        });
        node.provide::<Arc<dyn Peers>>(Arc::new(cluster.clone()));
        node.provide(cluster.clone());
        let draining = cluster.clone();
        let part = Part::new(child)
            .health(cluster.clock(), HealthVerdict::clone)
            .started(move || cluster.set_node_state(NodeState::Active));
        Ok(Some(part.drain(move || draining.set_node_state(NodeState::Draining))))
    }
}
