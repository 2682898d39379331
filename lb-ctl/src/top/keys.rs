//! Keys of the terminal, from a thread: reading them blocks.

use std::io;

use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::mpsc;

/// Most keys that wait.
const MAX_KEYS: usize = 64;

/// A key, or the terminal's new size.
pub enum Press {
    /// A key was pressed.
    Key(KeyEvent),
    /// There is something else to draw on.
    Resized,
}

/// Each key that is pressed from now on. It ends after an error.
pub fn listen() -> mpsc::Receiver<io::Result<Press>> {
    let (send, keys) = mpsc::channel(MAX_KEYS);
    // It is stuck in a read when the program ends, and ends with it.
    std::thread::spawn(move || {
        loop {
            let press = match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Ok(Press::Key(key)),
                Ok(Event::Resize(..)) => Ok(Press::Resized),
                Ok(_) => continue,
                Err(error) => Err(error),
            };
            let is_last = press.is_err();
            if send.blocking_send(press).is_err() || is_last {
                return;
            }
        }
    });
    keys
}
