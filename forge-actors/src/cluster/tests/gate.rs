use std::net::{IpAddr, Ipv4Addr};

use crate::cluster::gate::{Gate, UNKNOWN_MAX, UNKNOWN_PER_ADDRESS_MAX};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const FRIEND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

#[test]
fn one_address_pushes_out_its_own_oldest() {
    let mut gate = Gate::default();
    let (friend, _) = gate.enter(FRIEND);
    let first: Vec<_> = (0..UNKNOWN_PER_ADDRESS_MAX).map(|_| gate.enter(ATTACKER)).collect();
    assert!(first.iter().all(|(_, dropped)| dropped.is_none()));
    for (expected, _) in first {
        assert_eq!(gate.enter(ATTACKER).1, Some(expected), "the oldest goes first");
    }
    gate.leave(friend);
    assert_eq!(gate.enter(FRIEND).1, None);
}

#[test]
fn a_newcomer_is_let_in_however_full_it_is() {
    let mut gate = Gate::default();
    let first = gate.enter(ATTACKER).0;
    for number in 1..UNKNOWN_MAX as u32 {
        assert_eq!(gate.enter(IpAddr::V4(Ipv4Addr::from(0x0a01_0000 + number))).1, None);
    }
    assert_eq!(gate.enter(FRIEND).1, Some(first));
}

#[test]
fn an_address_in_its_v6_dress_is_the_same() {
    let mut gate = Gate::default();
    let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
    let (first, _) = gate.enter(ATTACKER);
    for _ in 1..UNKNOWN_PER_ADDRESS_MAX {
        gate.enter(mapped);
    }
    assert_eq!(gate.enter(mapped).1, Some(first));
}
