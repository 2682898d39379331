//! The XDP program's own debug messages reach the `log` facade when they are asked for. A process of its own, since there is
//! one logger a process. Needs root and BPF.

use std::{
    sync::{
        Mutex,
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use lb_common::{
    DropReason, FAMILY_V4, MODE_DSR, PROTOCOL_TCP, RING_SLOTS, ServiceKey, ServiceValue, Slot, VipKey, VipValue,
};
use lb_core::rows::MapWrite;
use lb_daemon::dataplane::{Dataplane, Options};

/// Longer than any machine needs to hand a message on; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Messages(Mutex<Sender<String>>);

impl log::Log for Messages {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // Nobody listens any more: the test is over.
        let _ = self.0.lock().unwrap().send(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn a_drop_is_told_with_its_reason() {
    let (sender, messages) = channel();
    log::set_boxed_logger(Box::new(Messages(Mutex::new(sender)))).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let options = Options {
        pin_dir: None,
        max_reals: 16,
        max_flows: 16,
        flow_events_size: lb_common::DEFAULT_FLOW_EVENTS_SIZE,
        debug_log: true,
    };
    let mut dataplane = Dataplane::open(&options).unwrap().0;
    let mut vip = [0; 16];
    vip[..4].copy_from_slice(&[203, 0, 113, 10]);
    let service = ServiceKey { vip, port: 80, protocol: PROTOCOL_TCP, family: FAMILY_V4 };
    dataplane
        .apply(&[
            MapWrite::NewRing { service: 0, slots: vec![Slot::default(); RING_SLOTS as usize].into(), like: None },
            MapWrite::Vip {
                key: VipKey { address: vip, family: FAMILY_V4, reserved: [0; 3] },
                value: Some(VipValue::default()),
            },
            MapWrite::Service {
                key: service,
                value: Some(ServiceValue { id: 0, mode: MODE_DSR, ..ServiceValue::default() }),
            },
        ])
        .unwrap();

    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 7, 203, 0, 113, 10]);
    frame.extend([0x0f, 0xa0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    dataplane.test_run(&frame, 1).unwrap();

    let wanted = format!("drop reason {}", DropReason::NoReal as u32);
    loop {
        let message = messages.recv_timeout(PATIENCE).expect("the program's message");
        if message.contains(&wanted) {
            return;
        }
    }
}
