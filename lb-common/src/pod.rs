//! Lets aya copy the map types to and from the kernel.

use crate::abi::{
    AccessKey, FlowEvent, FlowKey, FlowValue, FragmentKey, FragmentValue, Guard, HalfOpenValue, IndexedService,
    NatPortKey, NatReplyValue, NatState, NodeState, PortRangeKey, QuicKey, QuicServerKey, QuicValue, RealValue,
    ServiceKey, ServiceOptions, ServiceValue, Slot, SourceKey, SourceValue, TraceEvent, TraceFilter, TrafficCounters,
    VipKey, VipPrefixKey, VipPrefixValue, VipValue, WantedNeighbour,
};
use crate::decap::{AddressKey, Endpoint};

macro_rules! pod {
    ($($name:ty),+ $(,)?) => {
        $(
            // SAFETY: repr(C), made of fixed-width integers and arrays of them without padding (the size asserts in
            // `abi` hold it to that), so every bit pattern is a value and every byte is initialised.
            unsafe impl aya::Pod for $name {}
        )+
    };
}

pod!(
    AddressKey,
    Endpoint,
    NodeState,
    VipKey,
    VipValue,
    VipPrefixKey,
    VipPrefixValue,
    ServiceKey,
    ServiceValue,
    IndexedService,
    ServiceOptions,
    Guard,
    AccessKey,
    SourceKey,
    SourceValue,
    QuicKey,
    QuicValue,
    QuicServerKey,
    NatState,
    NatPortKey,
    NatReplyValue,
    WantedNeighbour,
    PortRangeKey,
    Slot,
    RealValue,
    FlowKey,
    FlowValue,
    HalfOpenValue,
    FlowEvent,
    TraceFilter,
    TraceEvent,
    FragmentKey,
    FragmentValue,
    TrafficCounters,
);
