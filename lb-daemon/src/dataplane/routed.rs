//! Rows of QUIC connection ids and of VIP prefixes, put into any state by tests.

use aya::maps::lpm_trie::Key;
use lb_common::{QuicKey, QuicServerKey, QuicValue, VIP_PREFIX_FIXED_BITS, VipPrefixKey, VipPrefixValue, map};

use super::{
    Dataplane, DataplaneError,
    rows::{gone, written},
};

impl Dataplane {
    /// Sets or removes how connection ids are read.
    ///
    /// # Errors
    /// The map is full, or the kernel refuses.
    pub fn put_quic(&mut self, key: &QuicKey, value: Option<&QuicValue>) -> Result<(), DataplaneError> {
        match value {
            Some(value) => written(self.maps.quic.insert(key, value, 0), map::QUIC),
            None => gone(self.maps.quic.remove(key), map::QUIC),
        }
    }

    /// Sets or removes the real of a server id.
    ///
    /// # Errors
    /// The map is full, or the kernel refuses.
    pub fn put_quic_server(&mut self, key: &QuicServerKey, real: Option<u32>) -> Result<(), DataplaneError> {
        match real {
            Some(real) => written(self.maps.quic_servers.insert(key, real, 0), map::QUIC_SERVERS),
            None => gone(self.maps.quic_servers.remove(key), map::QUIC_SERVERS),
        }
    }

    /// Sets or removes a VIP that is a whole prefix of `bits` bits.
    ///
    /// # Errors
    /// The map is full, or the kernel refuses.
    pub fn put_vip_prefix(
        &mut self,
        bits: u32,
        key: &VipPrefixKey,
        value: Option<&VipPrefixValue>,
    ) -> Result<(), DataplaneError> {
        let key = Key::new(VIP_PREFIX_FIXED_BITS + bits, *key);
        match value {
            Some(value) => written(self.maps.vip_prefixes.insert(&key, value, 0), map::VIP_PREFIXES),
            None => gone(self.maps.vip_prefixes.remove(&key), map::VIP_PREFIXES),
        }
    }
}
