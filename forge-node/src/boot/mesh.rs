//! Opens the mesh's port and reads its certificates, before any actor starts.

use std::path::PathBuf;

use forge_actors::cluster::config::{ClusterConfig, Discovery};
use forge_actors::cluster::port::MeshPort;
use forge_actors::cluster::tls::{Tls, TlsError};
use forge_actors::cluster::{ClusterKey, MeshOptions};

use crate::config::load::Loaded;
use crate::terminal::report::Report;

/// Opens the mesh's port, and reads its certificates.
///
/// # Errors
/// When the port cannot be opened, or a file cannot be used.
pub fn open(
    loaded: &Loaded,
    config: ClusterConfig,
    name: &str,
    key: ClusterKey,
) -> Result<Option<MeshOptions>, Report> {
    Ok(match config.discovery {
        Discovery::None => None,
        Discovery::Postgres => {
            let tls = config
                .tls()
                .map(|files| Tls::load(files, name))
                .transpose()
                .map_err(|error| no_tls(error, loaded))?;
            let port = MeshPort::open(&config).map_err(|error| {
                let tried = format!(
                    "host from {}, port from {}",
                    loaded.origin("cluster.host"),
                    loaded.origin("cluster.port")
                );
                Report::from(error).tried(tried)
            })?;
            if tls.is_none() && !config.host.is_loopback() {
                tracing::warn!(
                    address = %port.address(),
                    "the mesh is not encrypted: set cluster.tls_certificate, tls_key and tls_authority"
                );
            }
            Some(MeshOptions { port, key, tls })
        }
    })
}

/// The mesh's configuration, with its paths resolved from the folder of the configuration file.
pub fn config(loaded: &Loaded) -> ClusterConfig {
    let mut config = loaded.config.section::<ClusterConfig>();
    for path in [&mut config.tls_certificate, &mut config.tls_key, &mut config.tls_authority] {
        *path = path.take().map(|path: PathBuf| loaded.folder.join(path));
    }
    config
}

fn no_tls(error: TlsError, loaded: &Loaded) -> Report {
    let origin = loaded.origin("cluster.tls_certificate");
    Report::from(error).tried(format!("cluster.tls_certificate   (from {origin})"))
}
