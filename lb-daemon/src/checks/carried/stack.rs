//! A TCP/IP stack for one probe. It works when it is polled: nothing runs behind the probe's back, and nothing is left
//! when the probe is dropped.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{self, Checksum, DeviceCapabilities, Medium};
use smoltcp::wire::{HardwareAddress, IpCidr};
use tokio::time::{Instant, Sleep, sleep};

use super::super::icmp::random;
use super::wire::Wire;

/// Packets that are taken before others have their turn.
const PACKETS_A_TURN: usize = 32;
/// Packets that are made before they are sent.
const MAX_LEAVING: usize = 32;
/// The smallest MTU that the stack is given: what every IPv4 host takes.
const MIN_MTU: usize = 576;

/// The stack. Its sockets are for the probes to add and to look at.
pub(super) struct Stack {
    /// The probe's sockets.
    pub(super) sockets: SocketSet<'static>,
    /// What the sockets are connected with.
    pub(super) interface: Interface,
    device: Device,
    wire: Wire,
    begun: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Stack {
    /// A stack with one address, on a way for IP packets of up to `mtu` bytes.
    pub(super) fn new(wire: Wire, address: IpAddr, mtu: usize) -> io::Result<Self> {
        let mut device = Device { mtu: mtu.max(MIN_MTU), arrived: None, leaving: VecDeque::new() };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = random();
        let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
        let full = if address.is_ipv4() { 32 } else { 128 };
        interface.update_ip_addrs(|addresses| {
            // There is room for at least one.
            let _ = addresses.push(IpCidr::new(address.into(), full));
        });
        // Everything goes out by the wire; the gateway's address is of no use there.
        let routed = match address {
            IpAddr::V4(address) => interface.routes_mut().add_default_ipv4_route(address).is_ok(),
            IpAddr::V6(address) => interface.routes_mut().add_default_ipv6_route(address).is_ok(),
        };
        if !routed {
            return Err(io::Error::other("the stack takes no route"));
        }
        let (begun, timer) = (Instant::now(), Box::pin(sleep(Duration::ZERO)));
        Ok(Self { sockets: SocketSet::new(Vec::new()), interface, device, wire, begun, timer })
    }

    /// Bytes of the largest packet that is sent.
    pub(super) fn mtu(&self) -> usize {
        self.device.mtu
    }

    /// Takes what has come, sends what is to be sent, and has the task woken when there is more to do.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.work()?;
        for _ in 0..PACKETS_A_TURN {
            match self.wire.poll_receive(cx)? {
                Poll::Ready(packet) => self.device.arrived = Some(packet),
                Poll::Pending => {
                    self.set_timer(cx);
                    return Ok(());
                }
            }
            self.work()?;
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Does what there is to do without waiting for anything.
    pub(super) fn work(&mut self) -> io::Result<()> {
        self.interface.poll(self.now(), &mut self.device, &mut self.sockets);
        while let Some(packet) = self.device.leaving.pop_front() {
            self.wire.send(&packet)?;
        }
        Ok(())
    }

    fn set_timer(&mut self, cx: &mut Context<'_>) {
        let Some(delay) = self.interface.poll_delay(self.now(), &self.sockets) else { return };
        self.timer.as_mut().reset(Instant::now() + Duration::from_micros(delay.total_micros()));
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn now(&self) -> smoltcp::time::Instant {
        let micros = self.begun.elapsed().as_micros();
        smoltcp::time::Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// One packet in, some packets out.
struct Device {
    mtu: usize,
    arrived: Option<Vec<u8>>,
    leaving: VecDeque<Vec<u8>>,
}

impl phy::Device for Device {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Arrived, Leaving<'_>)> {
        let arrived = self.arrived.take()?;
        Some((Arrived(arrived), Leaving(&mut self.leaving)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Leaving<'_>> {
        (self.leaving.len() < MAX_LEAVING).then_some(Leaving(&mut self.leaving))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // Received checksums may be left for a network card that the packet never came by: the kernel has judged them.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities.checksum.udp = Checksum::Tx;
        capabilities.checksum.icmpv4 = Checksum::Tx;
        capabilities.checksum.icmpv6 = Checksum::Tx;
        capabilities
    }
}

struct Arrived(Vec<u8>);

impl phy::RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Leaving<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}
