//! Runs the program on one frame, without any interface (BPF_PROG_TEST_RUN).

use aya::{
    TestRunOptions,
    programs::{TestRun, Xdp},
};

use super::{Dataplane, DataplaneError, PROGRAM};

/// The longest frame that comes back: the longest that goes in, and the longest outer header.
const FRAME_LIMIT: usize = 4_096;
const LOOPBACK: u32 = 1;

/// What the program said of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// XDP_DROP 1, XDP_PASS 2, XDP_TX 3, XDP_REDIRECT 4; 0 would be XDP_ABORTED.
    pub action: u32,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
}

impl Dataplane {
    /// Runs the program on `frame`, as if it had come in by the interface `ingress_ifindex`: 1 (loopback), or one that
    /// has set up its receive queue for XDP.
    ///
    /// # Errors
    /// The kernel refuses, say a frame below 14 or above 3,520 bytes.
    pub fn test_run(&self, frame: &[u8], ingress_ifindex: u32) -> Result<Verdict, DataplaneError> {
        let context = (ingress_ifindex != LOOPBACK).then(|| context(0, frame.len(), ingress_ifindex));
        self.run_once(frame, context.as_deref())
    }

    /// Runs the program on `frame`, come in by loopback behind `metadata` bytes that take room away from before the frame:
    /// a multiple of 4, at most 216, which leave none. Older kernels (Linux 6.1) take 32 at most.
    ///
    /// # Errors
    /// The kernel refuses so much metadata, or the frame.
    pub fn test_run_behind(&self, metadata: usize, frame: &[u8]) -> Result<Verdict, DataplaneError> {
        let whole = [&vec![0; metadata], frame].concat();
        let mut verdict = self.run_once(&whole, Some(&context(metadata, whole.len(), 0)))?;
        verdict.frame.drain(..metadata.min(verdict.frame.len()));
        Ok(verdict)
    }

    fn run_once(&self, data: &[u8], context: Option<&[u8]>) -> Result<Verdict, DataplaneError> {
        let failed = |source| DataplaneError::Program { step: "run", source };
        let program = self.ebpf.program(PROGRAM).ok_or(DataplaneError::Object { what: PROGRAM })?;
        let program: &Xdp = program.try_into().map_err(failed)?;
        let mut out = vec![0; FRAME_LIMIT];
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(data),
                data_out: Some(&mut out),
                ctx_in: context,
                ..TestRunOptions::default()
            })
            .map_err(failed)?;
        out.truncate(result.data_size_out as usize);
        Ok(Verdict { action: result.return_value, frame: out })
    }
}

/// The `xdp_md` to run with. Loopback is what the kernel takes by itself for interface 0, and refuses to be told.
fn context(data: usize, data_end: usize, ingress_ifindex: u32) -> Vec<u8> {
    let (data_meta, rx_queue, egress) = (0, 0, 0);
    let fields = [data as u32, data_end as u32, data_meta, ingress_ifindex, rx_queue, egress];
    fields.into_iter().flat_map(u32::to_ne_bytes).collect()
}
