//! Services that share a ring in the kernel: random changes, beside a plain model that has a ring for each service.

use std::{collections::BTreeMap, sync::Arc};

use lb_common::{RING_SLOTS, ServiceKey, ServiceValue, Slot};
use lb_core::rows::{MapWrite, Rows, diff};
use lb_daemon::dataplane::{Adoption, Dataplane};

use super::{Bpffs, options};

const SERVICES: u32 = 6;
const STEPS: u32 = 400;

/// xorshift64: the same sequence each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % u64::from(limit)) as u32
    }

    /// Some services, or all of them one time in three.
    fn services(&mut self) -> Vec<u32> {
        let all = self.below(3) == 0;
        (0..SERVICES).filter(|_| all || self.below(2) == 0).collect()
    }
}

fn ring(real: u32) -> Arc<[Slot]> {
    vec![Slot { real: real as u16, ..Slot::default() }; RING_SLOTS as usize].into()
}

/// Rings are read of services that have rows.
fn with_services() -> Rows {
    let row = |id: u32| {
        let key = ServiceKey { vip: [7; 16], port: id as u16 + 1, protocol: 6, family: 4 };
        (key, ServiceValue { id, ..ServiceValue::default() })
    };
    Rows { services: (0..SERVICES).map(row).collect(), ..Rows::default() }
}

/// One step: what to write, done to the model, too.
fn step(random: &mut Random, model: &mut BTreeMap<u32, Vec<Slot>>) -> Vec<MapWrite> {
    let mut writes = Vec::new();
    let slots = ring(1 + random.below(3));
    let change = |random: &mut Random| (random.below(8), Slot { real: random.below(9) as u16, ..Slot::default() });
    let [common, other] = [0; 2].map(|_| Arc::from(vec![change(random)]));
    let kind = random.below(12);
    let like = Some(random.below(SERVICES));
    for service in random.services() {
        match kind {
            0 => {
                model.remove(&service);
                writes.push(MapWrite::RemoveRing { service });
            }
            1 | 2 => {
                model.insert(service, slots.to_vec());
                writes.push(MapWrite::NewRing { service, slots: slots.clone(), like });
            }
            _ => {
                let Some(own) = model.get_mut(&service) else { continue };
                let changes: &Arc<[(u32, Slot)]> = if kind > 8 && random.below(2) == 0 { &other } else { &common };
                changes.iter().for_each(|&(index, slot)| own[index as usize] = slot);
                writes.push(MapWrite::Slots { service, changes: changes.clone() });
            }
        }
    }
    writes
}

fn assert_same(dataplane: &Dataplane, model: &BTreeMap<u32, Vec<Slot>>, step: u32) {
    let rings = dataplane.rows().unwrap().rings;
    assert!(rings.keys().eq(model.keys()), "step {step}");
    for (service, slots) in model {
        assert!(rings[service][..] == slots[..], "step {step}: the ring of service {service} is another's");
    }
}

#[test]
fn a_change_of_one_service_reaches_no_other() {
    let bpffs = Bpffs::new();
    let pinned = options(Some(bpffs.dir()));
    let (mut dataplane, _) = Dataplane::open(&pinned).unwrap();
    dataplane.apply(&diff(&Rows::default(), &with_services())).unwrap();
    let (mut random, mut model, mut shared) = (Random(0x9e37_79b9_7f4a_7c15), BTreeMap::new(), 0);
    for number in 0..STEPS {
        dataplane.apply(&step(&mut random, &mut model)).unwrap();
        assert_same(&dataplane, &model, number);
        assert!(dataplane.rings() <= model.len());
        shared += u32::from(dataplane.rings() < model.len());
        if number % 50 == 49 {
            // The next daemon finds out what is shared, and goes on with it.
            let rings = dataplane.rings();
            drop(dataplane);
            let adoption;
            (dataplane, adoption) = Dataplane::open(&pinned).unwrap();
            assert_eq!((adoption, dataplane.rings()), (Adoption::Adopted, rings));
            assert_same(&dataplane, &model, number);
        }
    }
    assert!(shared > STEPS / 4, "rings were shared after {shared} steps only");
}

#[test]
fn services_that_are_given_one_ring_share_it_until_one_of_them_changes() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let slots = ring(1);
    let new = |service, like| MapWrite::NewRing { service, slots: slots.clone(), like };
    dataplane.apply(&[new(0, None), new(1, None)]).unwrap();
    assert_eq!(dataplane.rings(), 1);
    dataplane.apply(&[new(2, Some(1))]).unwrap();
    assert_eq!(dataplane.rings(), 1, "a third one that is like them");

    let changes: Arc<[(u32, Slot)]> = [(5, Slot { real: 2, ..Slot::default() })].into();
    let change = |service| MapWrite::Slots { service, changes: changes.clone() };
    dataplane.apply(&[change(0), change(1), change(2)]).unwrap();
    assert_eq!(dataplane.rings(), 1, "all of them are given the same");
    let changes: Arc<[(u32, Slot)]> = [(6, Slot { real: 2, ..Slot::default() })].into();
    let change = |service| MapWrite::Slots { service, changes: changes.clone() };
    dataplane.apply(&[change(0), change(2)]).unwrap();
    assert_eq!(dataplane.rings(), 2, "two of them have left");
    dataplane.apply(&[new(3, Some(1))]).unwrap();
    assert_eq!(dataplane.rings(), 3, "the one that it was said to be like is another by now");
    dataplane.apply(&[1, 0, 2].map(|service| MapWrite::RemoveRing { service })).unwrap();
    assert_eq!(dataplane.rings(), 1);
}
