//! A link with 200 ms of delay is filled, and what may be repeated stays small
//! on a short one.

use std::thread;
use std::time::{Duration, Instant};

use crate::fake::{FakeHub, LIMIT, Runtime, output, settings};
use crate::fault_proxy::{FaultProxy, Faults, Way};

#[test]
fn a_link_with_200_ms_of_delay_is_filled() {
    const MESSAGES: usize = 240;
    let hub = FakeHub::new();
    let proxy = FaultProxy::start(hub.address, 1);
    let way = Way { delay: Duration::from_millis(100), ..Way::default() };
    proxy.set_faults(Faults { to_hub: way.clone(), to_runtime: way });
    let runtime = Runtime::start(settings(proxy.address()));
    let mut peer = hub.registered();
    runtime.expect_registered();
    let lane = runtime.hub.outbox().lane("s".into(), 64 << 20);
    let start = Instant::now();
    for number in 0..MESSAGES {
        lane.send(output("s", number, 64_000));
    }
    let reading = thread::spawn(move || {
        let mut texts = 0;
        while texts < MESSAGES {
            texts += usize::from(peer.socket.read().unwrap().is_text());
        }
        peer.read_to_end()
    });
    runtime.until("everything is confirmed", |status| status.pending == 0);
    let took = start.elapsed();
    // 15 MB with 256 KiB for each round trip would take 12 s.
    assert!(took < Duration::from_secs(8), "{took:?}, window {}", runtime.hub.status().window);
    runtime.hub.shutdown(Instant::now() + LIMIT);
    assert!(reading.join().unwrap().is_empty());
}

#[test]
fn on_a_short_link_only_a_few_large_frames_are_unconfirmed() {
    const MESSAGES: usize = 2_000;
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    runtime.expect_registered();
    let lane = runtime.hub.outbox().lane("s".into(), 256 << 20);
    let (handled, handling) = crossbeam_channel::bounded(0);
    let reading = thread::spawn(move || {
        for _ in 0..MESSAGES {
            peer.read().unwrap();
            handled.send(()).unwrap();
        }
        drop(handled);
        peer.read_to_end()
    });
    runtime.until("the time of a pong is known", |status| status.last_pong.is_some());
    for number in 0..MESSAGES {
        lane.send(output("s", number, 66_000));
    }
    let mut most = 0;
    for () in handling {
        most = most.max(runtime.hub.status().unconfirmed);
    }
    runtime.hub.shutdown(Instant::now() + LIMIT);
    assert!(reading.join().unwrap().is_empty());
    // Three where nothing else runs. A busy machine makes a longer link of it, which may
    // have more; without a bound the sockets alone would hold a hundred.
    assert!(most <= 24, "{most} frames were unconfirmed");
}
