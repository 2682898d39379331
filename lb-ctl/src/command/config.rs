//! `lbctl add`, `remove` and `config`: services and reals that come and go while the daemon runs.

use lb_core::api::{ConfigChanged, ConfigDiff, ConfigInUse, ErrorBody, path};
use serde_json::{Map, Value, json};

use super::{View, json_line};
use crate::args::{AddCommand, AddReal, AddService, ConfigCommand, Member, Persist, RemoveCommand, Removed, Served};
use crate::client::{Answer, ClientError};
use crate::render::{self, Style};

pub(super) async fn show(view: &View<'_>, command: ConfigCommand, style: Style) -> Result<String, ClientError> {
    match command {
        ConfigCommand::Show => view.get(path::CONFIG, |config: &ConfigInUse| config.text.clone()).await,
        ConfigCommand::Diff => view.get(path::CONFIG_DIFF, |diff: &ConfigDiff| render::config_diff(diff, style)).await,
    }
}

pub(super) async fn add(view: &View<'_>, command: &AddCommand) -> Result<String, ClientError> {
    match command {
        AddCommand::Service(wanted) => {
            let answer = put(view, path::SERVICES, &service(wanted), wanted.persist).await?;
            Ok(view.text(answer, |changed| render::config_changed("service", &wanted.name, "in use", changed)))
        }
        AddCommand::Real(wanted) => add_real(view, wanted).await,
    }
}

pub(super) async fn remove(view: &View<'_>, command: &RemoveCommand) -> Result<String, ClientError> {
    let (kind, Removed { name, persist }, path) = match command {
        RemoveCommand::Service(removed) => ("service", removed, path::service(&removed.name)),
        RemoveCommand::Real(removed) => ("real", removed, path::real(&removed.name)),
    };
    let answer = view.client.delete(&with_persist(&path, *persist)).await?;
    Ok(view.text(answer, |changed| render::config_changed(kind, name, "removed", changed)))
}

/// The real first: a service cannot have one that is not there.
async fn add_real(view: &View<'_>, wanted: &AddReal) -> Result<String, ClientError> {
    let mut services = Vec::new();
    if !wanted.services.is_empty() {
        let config: Answer<ConfigInUse> = view.client.get(path::CONFIG).await?;
        for served in &wanted.services {
            services.push(with_member(&config.value, served, &wanted.name)?);
        }
    }
    let mut answer = put(view, path::REALS, &real(wanted), wanted.persist).await?;
    for service in &services {
        let after = put(view, path::SERVICES, service, wanted.persist).await?;
        let changed = answer.value.changed || after.value.changed;
        answer.value = ConfigChanged { changed, ..after.value };
    }
    if view.json {
        return Ok(json_line(&answer.value));
    }
    Ok(render::config_changed("real", &wanted.name, "in use", &answer.value))
}

/// The service as it is, with a real more.
fn with_member(config: &ConfigInUse, Served { service, port }: &Served, real: &str) -> Result<Value, ClientError> {
    let refused =
        |error: String| ClientError::Refused(ErrorBody { error, hint: Some("nothing was changed".to_owned()) });
    let mut found = config.services.iter().find(|found| found["name"] == **service).cloned();
    let members = found.as_mut().and_then(|found| found["reals"].as_array_mut());
    let members = members.ok_or_else(|| refused(format!("there is no service {service:?}")))?;
    match (members.iter_mut().find(|member| **member == real || member["name"] == real), port) {
        (None, _) => members.push(member(real, None, *port)),
        (Some(known), Some(port)) => {
            let weight = known["weight"].as_u64().and_then(|weight| weight.try_into().ok());
            *known = member(real, weight, Some(*port));
        }
        (Some(_), None) => {}
    }
    found.ok_or_else(|| refused(format!("there is no service {service:?}")))
}

async fn put(
    view: &View<'_>,
    path: &str,
    item: &Value,
    persist: Persist,
) -> Result<Answer<ConfigChanged>, ClientError> {
    view.client.post(&with_persist(path, persist), Some(item)).await
}

fn with_persist(path: &str, Persist { persist }: Persist) -> String {
    format!("{path}?persist={persist}")
}

/// An entry of a service's `reals`.
fn member(real: &str, weight: Option<u16>, port: Option<u16>) -> Value {
    if weight.is_none() && port.is_none() {
        return json!(real);
    }
    let mut member = json!({ "name": real });
    set(&mut member, "weight", weight);
    set(&mut member, "port", port);
    member
}

fn service(wanted: &AddService) -> Value {
    let entry = |Member { real, weight, port }: &Member| member(real, *weight, *port);
    let fallback = |member: &Member| {
        let mut entry = json!({ "name": member.real, "fallback": true });
        set(&mut entry, "weight", member.weight);
        set(&mut entry, "port", member.port);
        entry
    };
    let reals: Vec<Value> = wanted.reals.iter().map(entry).chain(wanted.fallbacks.iter().map(fallback)).collect();
    let port = wanted.port.parse::<u16>().map_or_else(|_| json!(wanted.port), |port| json!(port));
    let mut service = json!({
        "name": wanted.name, "vip": wanted.vip, "port": port, "protocol": wanted.protocol, "mode": wanted.mode, "reals": reals,
    });
    let checks = (!wanted.checks.is_empty()).then_some(&wanted.checks);
    set(&mut service, "checks", checks);
    set(&mut service, "all_down", wanted.all_down.as_ref());
    set(&mut service, "scheduling", wanted.scheduling.as_ref());
    let group = wanted.affinity_group.as_ref().map(|group| json!({ "group": group }));
    set(&mut service, "affinity", group.or_else(|| wanted.affinity.then(|| json!({}))));
    set(&mut service, "one_packet", wanted.one_packet.then_some(true));
    set(&mut service, "allow", (!wanted.allow.is_empty()).then_some(&wanted.allow));
    set(&mut service, "deny", (!wanted.deny.is_empty()).then_some(&wanted.deny));
    set(&mut service, "new_flow_limit", wanted.new_flow_limit.map(|rate| json!({ "rate": rate })));
    set(&mut service, "syn_flood", wanted.syn_flood.map(|threshold| json!({ "threshold": threshold })));
    service
}

fn real(wanted: &AddReal) -> Value {
    let mut real = json!({ "name": wanted.name, "address": wanted.address });
    set(&mut real, "weight", wanted.weight);
    set(&mut real, "agent_check", wanted.agent_check.as_ref());
    real
}

/// What is not said is left to the daemon.
fn set(item: &mut Value, key: &str, value: Option<impl serde::Serialize>) {
    let entries: Option<&mut Map<String, Value>> = item.as_object_mut();
    if let (Some(entries), Some(value)) = (entries, value) {
        entries.insert(key.to_owned(), json!(value));
    }
}
