use super::*;
use crate::app::job_key::JobKeys;
use crate::app::secret::Secret;
use crate::kernel::ids::JobId;

fn gathered(bytes: usize) -> (GatheredJob, oneshot::Receiver<Result<()>>) {
    let (reply, answer) = oneshot::channel();
    let job = NewJob {
        id: JobId::new(),
        name: "mail.send".into(),
        queue: "mail".into(),
        priority: 50,
        attempts_max: 1,
        after_secs: 0.0,
        run_at: None,
        timeout_ms: None,
        followed: false,
        awaited: false,
        keys: Secret::new(JobKeys::default()),
        args: Secret::new("x".repeat(bytes)),
    };
    let job = DispatchedJob { job, identity: None, trace: String::new() };
    (GatheredJob { job, since: Instant::now(), reply }, answer)
}

#[test]
fn a_batch_is_bounded_by_count_and_bytes() {
    let (mut all, mut answers) = (Gathered::default(), Vec::new());
    let mut push = |all: &mut Gathered, bytes| {
        let (job, answer) = gathered(bytes);
        assert!(all.push(job), "the bound is not reached");
        answers.push(answer);
    };
    for _ in 0..BATCH_MAX + 1 {
        push(&mut all, 10);
    }
    assert_eq!(all.take_batch().len(), BATCH_MAX);
    push(&mut all, BATCH_BYTES_MAX);
    assert_eq!(all.take_batch().len(), 1, "the large one would exceed the bytes");
    assert_eq!(all.take_batch().len(), 1, "a large one alone is written");
    assert_eq!((all.take_batch().len(), all.bytes), (0, 0));
}

#[test]
fn what_gathers_is_bounded_and_a_refusal_leaves_it_as_it_was() {
    let (mut all, mut answers) = (Gathered::default(), Vec::new());
    let large = GATHERED_BYTES_MAX / 4;
    for _ in 0..4 {
        let (job, answer) = gathered(large);
        assert!(all.push(job), "the bound is not reached");
        answers.push(answer);
    }
    assert!(!all.push(gathered(1).0), "no byte more");
    assert_eq!((all.jobs.len(), all.bytes), (4, GATHERED_BYTES_MAX));
    all.take_batch();
    assert!(all.push(gathered(1).0), "the bound is not reached any more");
    assert!(
        !Gathered::default().push(gathered(GATHERED_BYTES_MAX + 1).0),
        "such a job is inserted by its call"
    );
}

#[test]
fn nothing_gathers_after_a_stop() {
    let mut all = Gathered { is_closed: true, ..Gathered::default() };
    assert!(!all.push(gathered(1).0));
    assert!(all.jobs.is_empty());
}

#[test]
fn jobs_that_have_gathered_for_long_are_taken_out() {
    let mut all = Gathered::default();
    let (old, _answer) = gathered(10);
    assert!(all.push(old));
    let between = Instant::now();
    let (young, _answer) = gathered(20);
    assert!(all.push(young));
    assert_eq!((all.take_older(between).len(), all.bytes, all.jobs.len()), (1, 20, 1));
}

#[test]
fn a_job_whose_call_has_ended_is_not_written() {
    let mut all = Gathered::default();
    let (gone, answer) = gathered(10);
    assert!(all.push(gone), "the bound is not reached");
    drop(answer);
    let (job, _answer) = gathered(10);
    let id = job.job.job.id;
    assert!(all.push(job), "the bound is not reached");
    let batch: Vec<_> = all.take_batch().into_iter().map(|gathered| gathered.job.job.id).collect();
    assert_eq!(batch, [id]);
}
