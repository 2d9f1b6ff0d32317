//! Children that are started and stopped at run time.

use super::*;
use crate::supervise::{ChildError, Children, DynamicSpec, SpecError, StartError};

async fn pool(children_max: usize) -> (Root, Steps, Children) {
    let spec =
        DynamicSpec { backoff: Backoff::exponential(millis(1), millis(2)), ..DynamicSpec::new(children_max) };
    let (child, children) = ChildSpec::dynamic("pool", spec);
    let (root, steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    (root, steps, children)
}

async fn add(children: &Children, id: &str, restart: Restart) -> Result<Address<PuppetMessage>, ChildError> {
    let (child, address) = puppet(id);
    children.start_child(with_restart(child, restart), PATIENCE).await.map(|()| address)
}

#[tokio::test(flavor = "multi_thread")]
async fn children_start_stop_and_restart_on_request() {
    let (root, mut steps, children) = pool(2).await;
    add(&children, "a", Restart::Permanent).await.expect("the limit is two");
    let to_b = add(&children, "b", Restart::Permanent).await.expect("the limit is two");
    assert!(matches!(
        add(&children, "c", Restart::Permanent).await,
        Err(ChildError::Full { children_max: 2 })
    ));
    assert!(matches!(
        add(&children, "a", Restart::Permanent).await,
        Err(ChildError::Spec(SpecError::DuplicateId { .. }))
    ));
    assert!(matches!(
        add(&children, "A", Restart::Permanent).await,
        Err(ChildError::Spec(SpecError::InvalidId { .. }))
    ));
    children.stop_child("a", PATIENCE).await.expect("it is there");
    assert!(matches!(children.stop_child("a", PATIENCE).await, Err(ChildError::Unknown { .. })));
    assert!(matches!(children.restart_child("a", PATIENCE).await, Err(ChildError::Unknown { .. })));
    children.restart_child("b", PATIENCE).await.expect("it is there");
    assert_eq!(to_b.call(|reply| PuppetMessage::Echo(3, reply), PATIENCE).await, Ok(3));
    assert_eq!(children.list(PATIENCE).await, Ok(vec!["b".to_owned()]));
    let expected = ["started pool/a", "started pool/b", "stopped pool/a", "stopped pool/b", "started pool/b"];
    let mut seen = steps.until("stopped pool/b").await;
    seen.extend(steps.until("started pool/b").await);
    assert_eq!(seen, expected);
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_are_not_restarted_are_removed() {
    let (root, mut steps, children) = pool(10).await;
    let temporary = add(&children, "temporary", Restart::Temporary).await.expect("it starts");
    let transient = add(&children, "transient", Restart::Transient).await.expect("it starts");
    let permanent = add(&children, "permanent", Restart::Permanent).await.expect("it starts");
    temporary.cast(PuppetMessage::Panic).expect("it runs");
    steps.until("crashed pool/temporary").await;
    transient.cast(PuppetMessage::Panic).expect("it runs");
    steps.until("started pool/transient").await;
    transient.cast(PuppetMessage::Stop).expect("it runs");
    steps.until("stopped pool/transient").await;
    permanent.cast(PuppetMessage::Stop).expect("it runs");
    steps.until("started pool/permanent").await;
    assert_eq!(children.list(PATIENCE).await, Ok(vec!["permanent".to_owned()]));
    let paths: Vec<_> = steps.tree.snapshot().into_iter().map(|actor| actor.path).collect();
    assert_eq!(paths, ["node", "node/pool", "node/pool/permanent"]);
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_does_not_start_leaves_no_trace() {
    let (root, steps, children) = pool(10).await;
    let (child, _) = ChildSpec::actor("bad", || Puppet {
        failing_starts: Arc::new(AtomicU32::new(1)),
        ..Puppet::default()
    });
    let error = children.start_child(child, PATIENCE).await.expect_err("its start fails");
    assert!(
        matches!(&error, ChildError::Start(StartError { path, .. }) if path == "node/pool/bad"),
        "{error:?}"
    );
    assert_eq!(children.list(PATIENCE).await, Ok(Vec::new()));
    assert_eq!(steps.tree.get("node/pool/bad"), None);
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_stop_at_the_same_time() {
    let (root, mut steps, children) = pool(100).await;
    for number in 0..50 {
        let (child, _) =
            ChildSpec::actor(format!("slow-{number}"), || Puppet { hanging_stop: true, ..Puppet::default() });
        children
            .start_child(with_shutdown(child, Shutdown::Deadline(millis(200))), PATIENCE)
            .await
            .expect("it starts");
    }
    let began = std::time::Instant::now();
    finish(root).await;
    assert!(
        began.elapsed() < secs(5),
        "one after the other takes ten seconds, this took {:?}",
        began.elapsed()
    );
    let steps = steps.until("stopped node").await;
    assert_eq!(steps.iter().filter(|step| step.starts_with("killed pool/slow-")).count(), 50);
}
