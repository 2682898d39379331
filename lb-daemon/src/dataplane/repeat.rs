//! Runs other programs around the same forwarder, each on one frame many times over: for benches.

use std::time::Duration;

use aya::{
    TestRunOptions,
    programs::{TestRun, Xdp},
};

use super::{Dataplane, DataplaneError, Options, open, sys::thread_cpu_ns};

/// Bytes before a frame that a program may add to it.
const HEADROOM: usize = 256;

/// What came of running a program many times.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeated {
    /// The last round's XDP verdict.
    pub action: u32,
    /// The frame as the last round left it.
    pub frame: Vec<u8>,
    /// Nanoseconds a round. The kernel tells whole ones only; the fraction is that of the CPU time of the call, which has a
    /// little more in it than the rounds.
    pub ns: f64,
}

impl Dataplane {
    /// Loads `programs` of an object that has the same maps as the daemon's own. Nothing is pinned, nothing can be attached.
    ///
    /// # Errors
    /// No permission, or the kernel refuses a program or a map.
    pub fn open_object(options: &Options, object: &[u8], programs: &[&'static str]) -> Result<Self, DataplaneError> {
        let options = Options { pin_dir: None, ..options.clone() };
        let mut ebpf = open::load(&options, object)?;
        let maps = open::take_maps(&mut ebpf)?;
        for name in programs {
            let program = ebpf.program_mut(name).ok_or(DataplaneError::Object { what: name })?;
            let program: &mut Xdp =
                program.try_into().map_err(|source| DataplaneError::Program { step: "use", source })?;
            program.load().map_err(open::program_load_error)?;
        }
        Ok(Self { options, ebpf, maps, attached: Vec::new() })
    }

    /// Runs `program` on `frame` `rounds` times. Each round gets the frame as the one before has left it: the kernel does not
    /// restore it.
    ///
    /// # Errors
    /// There is no such program, or the kernel refuses, say a frame below 14 or above 3,520 bytes.
    pub fn run_repeated(&self, program: &'static str, frame: &[u8], rounds: u32) -> Result<Repeated, DataplaneError> {
        let failed = |source| DataplaneError::Program { step: "run", source };
        let program: &Xdp =
            self.ebpf.program(program).ok_or(DataplaneError::Object { what: program })?.try_into().map_err(failed)?;
        let mut out = vec![0; frame.len() + HEADROOM];
        let began_ns = thread_cpu_ns();
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                repeat: rounds,
                ..TestRunOptions::default()
            })
            .map_err(failed)?;
        let ns = each(result.duration, thread_cpu_ns() - began_ns, rounds);
        out.truncate(result.data_size_out as usize);
        Ok(Repeated { action: result.return_value, frame: out, ns })
    }
}

/// Nanoseconds a round: `kernel` are a round's whole ones, `call_ns` is what all rounds took together at most.
fn each(kernel: Duration, call_ns: u64, rounds: u32) -> f64 {
    let whole = kernel.as_nanos() as f64;
    (call_ns as f64 / f64::from(rounds.max(1))).clamp(whole, whole + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_comes_from_the_call_and_the_rest_from_the_kernel() {
        let ns = |kernel, call_ns| each(Duration::from_nanos(kernel), call_ns, 100);
        assert_eq!(ns(25, 2_540), 25.4);
        assert_eq!(ns(25, 9_000), 26.0, "the call had much else to do");
        assert_eq!(ns(25, 2_000), 25.0, "clocks differ a little");
    }
}
