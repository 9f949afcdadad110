//! What is shipped tells the truth: every metric and label that a rule or panel uses is in the daemon's own output, every
//! family is documented, every configuration key is in the example, every alert has its runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use firedrill::metrics::catalogue;
use promql_parser::parser::{self, Expr, VectorSelector};
use serde_json::Value;

use crate::automation::exposition_with_open_work;
use crate::golden::exposition_of_demo;
use crate::support::repository;

mod joins;

/// Labels that Prometheus adds to every series.
const TARGET_LABELS: &[&str] = &["job", "instance", "__name__"];

/// Metrics of Prometheus itself, and what the rules record.
const FOREIGN: &[&str] = &["up", "ALERTS"];

fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(repository(directory)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.to_str().unwrap().ends_with(ending));
    assert!(!found.is_empty(), "{directory}/*{ending}");
    found.sort();
    found
}

fn yaml(path: &PathBuf) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rules() -> Vec<Value> {
    let groups =
        files("alerts", ".rules.yml").into_iter().flat_map(|path| yaml(&path)["groups"].as_array().unwrap().clone());
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Label names by metric, as the daemon writes them.
fn exported(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let label = regex::Regex::new(r#"(\w+)="(?:[^"\\]|\\.)*""#).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap_or((line.split(' ').next().unwrap(), ""));
        let names = found.entry(name.to_owned()).or_default();
        names.extend(label.captures_iter(labels).map(|found| found[1].to_owned()));
    }
    found
}

/// Values of a label, as the daemon writes them.
fn values(text: &str, metric: &str, label: &str) -> BTreeSet<String> {
    let pattern = format!(r#"(?m)^{metric}\{{[^}}]*\b{label}="([^"]*)""#);
    regex::Regex::new(&pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn selectors(expression: &Expr, found: &mut Vec<VectorSelector>) {
    match expression {
        Expr::VectorSelector(selector) => found.push(selector.clone()),
        Expr::MatrixSelector(matrix) => found.push(matrix.vs.clone()),
        Expr::Aggregate(aggregate) => {
            selectors(&aggregate.expr, found);
            if let Some(parameter) = &aggregate.param {
                selectors(parameter, found);
            }
        }
        Expr::Unary(unary) => selectors(&unary.expr, found),
        Expr::Binary(binary) => {
            selectors(&binary.lhs, found);
            selectors(&binary.rhs, found);
        }
        Expr::Paren(paren) => selectors(&paren.expr, found),
        Expr::Subquery(subquery) => selectors(&subquery.expr, found),
        Expr::Call(call) => call.args.args.iter().for_each(|argument| selectors(argument, found)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Complaints about one expression.
fn unknown(expression: &str, text: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let parsed = parser::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let exported = exported(text);
    let mut found = Vec::new();
    selectors(&parsed, &mut found);
    assert!(!found.is_empty(), "no metric in {expression}");
    let mut wrong = Vec::new();
    for selector in found {
        let name = selector.name.clone().unwrap_or_default();
        if recorded.contains(&name) || FOREIGN.contains(&name.as_str()) {
            continue;
        }
        let Some(labels) = exported.get(&name) else {
            wrong.push(format!("{name} is not exported: {expression}"));
            continue;
        };
        for matcher in &selector.matchers.matchers {
            if !labels.contains(&matcher.name) && !TARGET_LABELS.contains(&matcher.name.as_str()) {
                wrong.push(format!("{name} has no label {}: {expression}", matcher.name));
            }
            // Bounded labels: a misspelt value would never match.
            let bounded = ["state", "medium", "error_kind", "level", "result"].contains(&matcher.name.as_str());
            let single = !matcher.value.contains(['|', '.']);
            if bounded && single && !values(text, &name, &matcher.name).contains(&matcher.value) {
                wrong.push(format!("{name}{{{}=\"{}\"}} never exists: {expression}", matcher.name, matcher.value));
            }
        }
    }
    wrong
}

fn recorded() -> BTreeSet<String> {
    rules().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())).collect()
}

/// What the demo shows, and what shows only where somebody is told and somebody is asked.
async fn everything() -> String {
    static MADE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let make = || async {
        exposition_of_demo().await.1
            + &exposition_with_open_work().await
            + &crate::s3::exposition().await
            + &crate::esxi::exposition().await
    };
    MADE.get_or_init(make).await.clone()
}

#[tokio::test]
async fn rules_use_only_what_is_exported() {
    let text = everything().await;
    let recorded = recorded();
    let all = rules();
    assert!(all.len() > 12);
    let wrong: Vec<String> =
        all.iter().flat_map(|rule| unknown(rule["expr"].as_str().unwrap(), &text, &recorded)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn dashboards_use_only_what_is_exported() {
    let text = everything().await;
    let recorded = recorded();
    let mut wrong = Vec::new();
    for path in files("dashboards", ".json") {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (_, query) in crate::daemon::queries(&dashboard) {
            wrong.extend(unknown(&query, &text, &recorded));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_misspelt_metric_or_label_is_noticed() {
    let text = "firedrill_backup_state{source=\"s\",item=\"i\",state=\"ok\"} 1\n";
    let none = BTreeSet::new();
    assert!(unknown("firedrill_backup_state{state=\"ok\"} == 1", text, &none).is_empty());
    assert_eq!(unknown("firedrill_backup_states == 1", text, &none).len(), 1);
    assert_eq!(unknown("firedrill_backup_state{stat=\"ok\"}", text, &none).len(), 1);
    assert_eq!(unknown("sum(rate(firedrill_backup_state{state=\"okay\"}[5m]))", text, &none).len(), 1);
}

#[test]
fn every_alert_says_what_to_do() {
    let mut names = BTreeSet::new();
    for rule in rules().iter().filter(|rule| rule["alert"].is_string()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} stands twice");
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: severity {severity}");
        for annotation in ["summary", "description", "runbook_url"] {
            assert!(
                rule["annotations"][annotation].as_str().is_some_and(|text| text.len() > 20),
                "{name}: {annotation}"
            );
        }
        assert!(rule["annotations"]["runbook_url"].as_str().unwrap().ends_with(&format!("docs/runbooks/{name}.md")));
        assert!(repository(&format!("docs/runbooks/{name}.md")).is_file(), "{name} has no runbook");
    }
    for path in files("docs/runbooks", ".md") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name == "README" || names.contains(&name), "a runbook for no alert: {name}");
    }
    let tests: String =
        files("alerts/tests", ".test.yml").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for name in names {
        assert!(tests.contains(&format!("alertname: {name}")), "{name} has no promtool test");
    }
}

/// `UPDATE_GOLDEN=1` writes the table anew.
#[test]
fn the_documented_metrics_are_those_of_the_registry() {
    const BEGIN: &str = "<!-- families: made from the registry -->\n";
    const END: &str = "<!-- end of families -->";
    let path = repository("docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the mark of the table");
    let (table, tail) = rest.split_once(END).expect("the end mark of the table");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{}{END}{tail}", catalogue::table())).unwrap();
        return;
    }
    assert_eq!(table, catalogue::table());
}

#[tokio::test]
async fn what_is_exported_is_what_is_described() {
    let (_, text) = exposition_of_demo().await;
    let described: BTreeSet<String> = catalogue::descriptions().iter().map(|it| it.name.to_owned()).collect();
    let family = |name: String| {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
        histogram.filter(|name| described.contains(*name)).map(str::to_owned).unwrap_or(name)
    };
    let exported = exported(&text).into_keys().filter(|name| name.starts_with("firedrill_"));
    let exported: BTreeSet<String> = exported.map(family).collect();
    // Nothing waits there, nobody is notified, and there is no S3.
    let absent = |name: &String| {
        ["firedrill_notifications_", "firedrill_tfstate_", "firedrill_bucket_", "firedrill_s3_"]
            .iter()
            .any(|it| name.starts_with(it))
            || ["firedrill_receiver_up", "firedrill_actions_oldest_timestamp_seconds"].contains(&name.as_str())
    };
    let described: BTreeSet<String> = described.into_iter().filter(|name| !absent(name)).collect();
    assert_eq!(exported, described, "the demo estate shows every family");
}

/// Keys of a table of the configuration, asked of the parser itself.
fn known_keys(table: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    std::fs::write(&path, table).unwrap();
    let error = firedrill::config::load(Some(&path)).unwrap_err().to_string();
    let list = error.split("there are: ").nth(1).unwrap_or_else(|| panic!("{table}: {error}"));
    list.lines().next().unwrap().split(", ").map(str::to_owned).collect()
}

#[test]
fn the_example_names_every_key_and_the_code_reads_every_key() {
    let example = std::fs::read_to_string(repository("config/firedrill.example.toml")).unwrap();
    let mut code = String::new();
    for path in ["src/config", "src/config/automation", "src/config/notify", "src/cli", "src/app", "src"]
        .into_iter()
        .flat_map(|directory| files(directory, ".rs"))
    {
        code.push_str(&std::fs::read_to_string(path).unwrap());
    }
    for table in [
        "zzz = 1",
        "[web]\nzzz = 1",
        "[api]\nzzz = 1",
        "[webhook]\nzzz = 1",
        "[log]\nzzz = 1",
        "[store]\nzzz = 1",
        "[verify]\nzzz = 1",
        "[automation]\nzzz = 1",
        "[automation.concurrency]\nzzz = 1",
        "[[automation.rules]]\nzzz = 1",
        "[notify]\nzzz = 1",
        "[[notify.receivers]]\nzzz = 1",
        "[[notify.routes]]\nzzz = 1",
        "[defaults]\nzzz = 1",
        "[[vzdump]]\nzzz = 1",
        "[[dump]]\nzzz = 1",
        "[[s3]]\nzzz = 1",
        "[[esxi]]\nzzz = 1",
        "[[s3]]\nname = \"a\"\nstates = [{ zzz = 1 }]",
        "[[vzdump]]\nname = \"a\"\nroots = [{ zzz = 1 }]",
        "[[vzdump]]\nname = \"a\"\nexclude = { zzz = 1 }",
        "[[dump]]\nname = \"a\"\npatterns = [{ zzz = 1 }]",
        "[[environments]]\nzzz = 1",
        "[[items]]\nzzz = 1",
    ] {
        for key in known_keys(table) {
            let shown = regex::Regex::new(&format!(r"(?m)(^|[\s\[{{.,#]){key}\s*[\]=]")).unwrap();
            assert!(shown.is_match(&example), "the example lacks {key} of {table:?}");
            // Words of Rust can't be names of fields.
            let field = match key.as_str() {
                "for" => "patience",
                "continue" => "go_on",
                "type" => "kind",
                other => other,
            };
            // Sorts of actions are looked up by their label.
            let by_label = table.starts_with("[automation.concurrency]");
            let used = regex::Regex::new(&format!(r"\.{field}\b")).unwrap();
            assert!(by_label || used.is_match(&code), "nothing reads {key} of {table:?}");
        }
    }
}
