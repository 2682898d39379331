//! Words in messages.

/// `did you mean ...?`, when one of the names is near.
#[must_use]
pub fn suggestion(text: &str, names: &[&str]) -> Option<String> {
    let distance = |name: &str| strsim::damerau_levenshtein(&text.to_lowercase(), name);
    let nearest = names.iter().min_by_key(|name| distance(name))?;
    let near_enough = (nearest.len() / 3).max(1);
    (distance(nearest) <= near_enough).then(|| format!("did you mean `{nearest}`?"))
}

/// The names, each as code, with commas between them.
#[must_use]
pub fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
