use std::net::{IpAddr, Ipv4Addr};

use crate::cluster::pre_auth_limiter::{PER_ADDRESS_MAX, PreAuthLimiter, TOTAL_MAX};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const FRIEND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

#[test]
fn one_address_drops_its_own_oldest_connection() {
    let mut limiter = PreAuthLimiter::default();
    let (friend, _) = limiter.admit(FRIEND);
    let first: Vec<_> = (0..PER_ADDRESS_MAX).map(|_| limiter.admit(ATTACKER)).collect();
    assert!(first.iter().all(|(_, dropped)| dropped.is_none()));
    for (expected, _) in first {
        assert_eq!(limiter.admit(ATTACKER).1, Some(expected), "the oldest connection is dropped first");
    }
    limiter.remove(friend);
    assert_eq!(limiter.admit(FRIEND).1, None);
}

#[test]
fn a_full_limiter_admits_a_new_address() {
    let mut limiter = PreAuthLimiter::default();
    let first = limiter.admit(ATTACKER).0;
    for number in 1..TOTAL_MAX as u32 {
        assert_eq!(limiter.admit(IpAddr::V4(Ipv4Addr::from(0x0a01_0000 + number))).1, None);
    }
    assert_eq!(limiter.admit(FRIEND).1, Some(first));
}

#[test]
fn an_ipv4_address_mapped_to_ipv6_counts_as_the_same_address() {
    let mut limiter = PreAuthLimiter::default();
    let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
    let (first, _) = limiter.admit(ATTACKER);
    for _ in 1..PER_ADDRESS_MAX {
        limiter.admit(mapped);
    }
    assert_eq!(limiter.admit(mapped).1, Some(first));
}
