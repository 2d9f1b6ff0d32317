use std::path::Path;

use super::binaries::parse_version;
use super::folder::Folder;
use super::sharing::FileLock;
use super::user::ServerUser;

#[test]
fn versions_are_read_from_what_distributions_print() {
    let check = |text: &str, expected: Option<(u32, &str)>| {
        assert_eq!(parse_version(text), expected.map(|(major, version)| (major, version.to_owned())), "{text}");
    };
    check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some((15, "15.18")));
    check("postgres (PostgreSQL) 18beta1", Some((18, "18beta1")));
    check("postgres (PostgreSQL)", None);
}

#[test]
fn root_hands_the_server_to_somebody_with_a_name() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
    let name = |passwd: &str, sudo| match ServerUser::from_passwd(passwd, sudo) {
        ServerUser::Other { uid, gid, name } => (name, uid, gid),
        ServerUser::Own => panic!("never root itself"),
    };
    assert_eq!(name(passwd, None), ("nobody".into(), 65_534, 65_533));
    assert_eq!(name(passwd, Some(1000)), ("ada".into(), 1000, 1000));
    assert_eq!(name(passwd, Some(0)), ("nobody".into(), 65_534, 65_533));
    assert_eq!(name(&format!("{passwd}postgres:x:101:104::/:/bin/sh\n"), Some(1000)), ("postgres".into(), 101, 104));
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
fn what_lies_below_a_closed_folder_is_out_of_reach() {
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
