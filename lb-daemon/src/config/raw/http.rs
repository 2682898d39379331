//! `[http]`.

use std::net::SocketAddr;

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, socket_address, string};

use super::super::MAX_HTTP_LISTEN;

/// How an address is written.
const EXAMPLE: &str = "\"192.0.2.2:6780\"";

/// `[http]`.
#[derive(Debug, Default)]
pub(in crate::config) struct RawHttp {
    pub(in crate::config) listen: Vec<Spanned<SocketAddr>>,
}

pub(super) fn http(table: &Table<'_, '_>, problems: &mut Problems) -> RawHttp {
    let Some(value) = table.required("listen", EXAMPLE, problems) else { return RawHttp::default() };
    let values = match value.get_ref() {
        DeValue::Array(elements) => elements,
        _ => std::slice::from_ref(value),
    };
    if values.is_empty() || values.len() > MAX_HTTP_LISTEN {
        let title = format!("`listen` has {} entries", values.len());
        let help = format!("it can have 1 to {MAX_HTTP_LISTEN}; without `[http]` nothing is served");
        problems.add(Diagnostic::new(value.span(), title, "not so many", help));
    }
    let texts: Vec<_> = values.iter().filter_map(|value| string("listen", value, EXAMPLE, problems)).collect();
    let listen = texts.iter().filter_map(|text| socket_address("listen", text, EXAMPLE, problems)).collect();
    RawHttp { listen }
}
