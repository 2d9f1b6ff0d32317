use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use crate::cluster::outbox::{Outbox, OutboxFull, QUEUE_BYTES_MAX, QUEUE_MAX, SendWindow, TOPICS_MAX};
use crate::kernel::commit::{TableId, Xid};
use crate::kernel::envelope::{
    FrameHeader, FramePart, LinkKey, MeshMessage, PART_BYTES_MAX, Topics, decode_frame, encode_frame,
    encode_part,
};

const LINK: LinkKey = LinkKey(42);

fn tables(of: std::ops::Range<u32>) -> Topics {
    Topics { tables: of.map(TableId).collect(), queues: BTreeSet::new() }
}

fn sent(outbox: &Outbox) -> Vec<MeshMessage> {
    let bytes = encode_frame(FrameHeader { link: LINK, sequence: 1, acknowledged: 0 }, &outbox.drain());
    let (_, parts) = decode_frame(&bytes).expect("a frame");
    parts
        .map(|part| if let Ok(FramePart::Message(message)) = part { message } else { panic!("{part:?}") })
        .collect()
}

#[test]
fn hints_merge_into_one() {
    let outbox = Outbox::new(LINK);
    for number in 0..10_000 {
        assert!(outbox.hint(Some(Xid(number)), tables(0..3)));
    }
    assert_eq!(outbox.waiting(), 1);
    let messages = sent(&outbox);
    let [MeshMessage::Hint { xid: Some(Xid(9_999)), topics }] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(*topics, tables(0..3));
    assert!(sent(&outbox).is_empty());
}

#[test]
fn a_hint_that_names_too_much_becomes_a_resync() {
    let outbox = Outbox::new(LINK);
    assert!(outbox.hint(None, tables(0..TOPICS_MAX as u32)));
    assert!(!outbox.hint(None, tables(5_000_000..5_000_001)));
    assert_eq!(outbox.dropped(), 1);
    // A hint after the drop is sent as usual.
    assert!(outbox.hint(None, tables(1..2)));
    let messages = sent(&outbox);
    assert!(matches!(messages.as_slice(), [MeshMessage::Resync, MeshMessage::Hint { .. }]), "{messages:?}");
}

#[test]
fn calls_are_refused_when_too_many_or_too_large_together() {
    let outbox = Outbox::new(LINK);
    for _ in 0..QUEUE_MAX {
        assert_eq!(outbox.queue(vec![0; 8]), Ok(()));
    }
    assert_eq!(outbox.queue(vec![0; 8]), Err(OutboxFull));
    let outbox = Outbox::new(LINK);
    for _ in 0..QUEUE_BYTES_MAX / PART_BYTES_MAX {
        assert_eq!(outbox.queue(vec![0; PART_BYTES_MAX]), Ok(()));
    }
    assert_eq!(outbox.queue(vec![0; 1]), Err(OutboxFull));
}

#[test]
fn a_window_closes_and_opens() {
    let mut window = SendWindow::default();
    let mut last = 0;
    while window.is_open() {
        last = window.send(64 * 1024);
    }
    assert_eq!(last, 4);
    window.acknowledge(last + 10);
    assert!(window.is_open());
    assert_eq!(window.send(1), 5);
    window.acknowledge(1);
    window.acknowledge(5);
    assert!(window.is_open());
}

struct Peer {
    outbox: Arc<Outbox>,
    frames: mpsc::UnboundedReceiver<Vec<u8>>,
    gone: Arc<AtomicBool>,
    pump: tokio::task::JoinHandle<()>,
}

fn peer() -> Peer {
    let outbox = Arc::new(Outbox::new(LINK));
    let (sender, frames) = mpsc::unbounded_channel();
    let gone = Arc::new(AtomicBool::new(false));
    let (pumped, is_gone) = (Arc::clone(&outbox), Arc::clone(&gone));
    let pump = tokio::spawn(async move {
        pumped.pump(|frame| !is_gone.load(Ordering::Relaxed) && sender.send(frame).is_ok()).await
    });
    Peer { outbox, frames, gone, pump }
}

/// A peer that acknowledges nothing gets one window and no more, whatever is offered.
#[tokio::test]
async fn a_frozen_peer_gets_one_window() {
    let mut peer = peer();
    let part = || {
        encode_part(&MeshMessage::Cancel { id: 1 }).map(|mut part| {
            // An unknown kind of the wanted size.
            part.resize(32 * 1024, 0);
            part
        })
    };
    let (mut accepted, mut bytes) = (0, 0);
    for _ in 0..10_000 {
        if peer.outbox.queue(part().expect("small")).is_ok() {
            accepted += 1;
        }
        peer.outbox.hint(None, tables(0..9));
        tokio::task::yield_now().await;
    }
    while let Ok(frame) = peer.frames.try_recv() {
        bytes += frame.len();
    }
    println!("accepted {accepted} calls, sent {bytes} bytes");
    assert!(bytes < 256 * 1024 + 2 * 64 * 1024, "{bytes} bytes were sent to a frozen peer");
    assert!(accepted * 32 * 1024 < 3 * QUEUE_BYTES_MAX, "{accepted} calls were taken for a frozen peer");
    peer.pump.abort();
}

#[tokio::test]
async fn an_acknowledgement_opens_the_window_and_is_not_acknowledged_itself() {
    let mut peer = peer();
    peer.outbox.ping(1);
    let first = peer.frames.recv().await.expect("a frame");
    assert_eq!(
        decode_frame(&first).expect("a frame").0,
        FrameHeader { link: LINK, sequence: 1, acknowledged: 0 }
    );
    peer.outbox.acknowledged(1);
    peer.outbox.handled(7);
    let second = peer.frames.recv().await.expect("a frame");
    assert_eq!(
        decode_frame(&second).expect("a frame").0,
        FrameHeader { link: LINK, sequence: 0, acknowledged: 7 }
    );
    peer.outbox.handled(8);
    peer.outbox.pong(2);
    let mut newest = FrameHeader { link: LINK, sequence: 0, acknowledged: 0 };
    while newest.sequence < 2 {
        newest = decode_frame(&peer.frames.recv().await.expect("a frame")).expect("a frame").0;
    }
    assert_eq!(newest.acknowledged, 8);
    peer.gone.store(true, Ordering::Relaxed);
    peer.outbox.goodbye();
    peer.pump.await.expect("the pump ends when there is nobody to send to");
}
