//! Services and reals that come and go by the API.

use lb_core::api::{ConfigChanged, ConfigDiff, ConfigInUse, ServiceList};

use super::*;

const TLS: &str = r#"{"name":"tls","vip":"198.51.100.1","protocol":"tcp","port":443,"mode":"dsr",
"reals":["web1",{"name":"web2","weight":20}]}"#;

async fn changed(api: &Api, method: &str, path: &str, body: &str) -> ConfigChanged {
    let (status, answer) = api.request(method, path, body).await;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test]
async fn a_service_is_added_shown_and_removed() {
    let api = Api::start();
    let done = changed(&api, "POST", "/v1/services?persist=true", TLS).await;
    assert!(done.changed && done.persistent && done.warnings.is_empty(), "{done:?}");
    let list: ServiceList = api.get(path::SERVICES).await;
    assert_eq!(list.services[1].name, "tls");
    let diff: ConfigDiff = api.get(path::CONFIG_DIFF).await;
    assert_eq!((diff.changes[0].name.as_str(), diff.changes[0].persistent), ("tls", true));
    assert!(diff.changes[0].after.contains(&"port = 443".to_owned()), "{diff:?}");
    let config: ConfigInUse = api.get(path::CONFIG).await;
    assert_eq!(config.services[1]["reals"][1]["weight"], 20);
    assert!(config.text.contains("[[service]]"));
    let done = changed(&api, "DELETE", &path::service("tls"), "").await;
    assert!(done.changed && !done.persistent);
    let list: ServiceList = api.get(path::SERVICES).await;
    assert_eq!(list.services.len(), 1);
    let again = changed(&api, "DELETE", "/v1/services/tls?persist=true", "").await;
    assert!(!again.changed, "it was gone already");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_place() {
    let api = Api::start();
    for (method, path, body, status, part) in [
        ("POST", "/v1/services", TLS.replace("443", "\"many\""), 422, "port = \"many\""),
        ("POST", "/v1/services", TLS.replace("\"name\":\"tls\",", ""), 400, "the service has no `name`"),
        ("POST", "/v1/reals", r#"{"name":"web3","adress":"192.0.2.1"}"#.to_owned(), 422, "`adress`"),
        ("POST", "/v1/reals", r#"{"name":"web3","address":null}"#.to_owned(), 422, "null"),
        ("POST", "/v1/reals", "[]".to_owned(), 422, "expected a map"),
        ("POST", "/v1/reals?persists=1", r#"{"name":"web3"}"#.to_owned(), 400, "persists"),
        ("DELETE", "/v1/reals/web9", String::new(), 404, "there is no real \"web9\""),
        ("DELETE", "/v1/reals/web1", String::new(), 422, "web1"),
    ] {
        let (got, error) = api.error(method, path, &body).await;
        assert_eq!(got, status, "{method} {path} {body}: {error:?}");
        assert!(error.error.contains(part), "{part} is not in: {}", error.error);
    }
    let diff: ConfigDiff = api.get(path::CONFIG_DIFF).await;
    assert!(diff.changes.is_empty());
}
