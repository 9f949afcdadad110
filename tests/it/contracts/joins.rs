//! No join of a rule or panel can fail because a series is there twice, told apart by a label that firedrill doesn't know
//! (`replica`, `cluster`): "found duplicate series" makes an alert silent.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Expr, LabelModifier, VectorMatchCardinality};
use serde_json::Value;

use super::{files, rules};

type Labels = BTreeSet<String>;

/// What the rules record, by name.
type Recorded = BTreeMap<String, Expr>;

fn parsed(expression: &str) -> Expr {
    parser::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn is_scalar(expression: &Expr) -> bool {
    expression.value_type() == ValueType::Scalar
}

/// The labels that a join names; `None` where it names none.
fn on(it: &BinaryExpr) -> Option<Labels> {
    match it.modifier.as_ref()?.matching.as_ref()? {
        LabelModifier::Include(labels) => Some(labels.labels.iter().cloned().collect()),
        LabelModifier::Exclude(_) => None,
    }
}

/// The labels that an aggregation leaves; `None` where it leaves those that it isn't told of.
fn left_by(it: &AggregateExpr) -> Option<Labels> {
    let op = it.op.to_string();
    match &it.modifier {
        _ if op == "topk" || op == "bottomk" => None,
        None => Some(Labels::new()),
        Some(LabelModifier::Include(labels)) => Some(labels.labels.iter().cloned().collect()),
        Some(LabelModifier::Exclude(_)) => None,
    }
}

/// All labels that the series of an expression can have; `None` where any label may be among them.
fn bound(expression: &Expr, recorded: &Recorded) -> Option<Labels> {
    match expression {
        Expr::VectorSelector(selector) => bound(recorded.get(selector.name.as_deref()?)?, recorded),
        Expr::Aggregate(aggregate) => left_by(aggregate),
        Expr::Paren(paren) => bound(&paren.expr, recorded),
        Expr::Unary(unary) => bound(&unary.expr, recorded),
        Expr::Call(call) if call.func.name == "label_replace" => None,
        Expr::Call(call) => bound(call.args.args.iter().find(|it| !is_scalar(it))?, recorded),
        Expr::Binary(it) if is_scalar(&it.lhs) => bound(&it.rhs, recorded),
        Expr::Binary(it) if is_scalar(&it.rhs) => bound(&it.lhs, recorded),
        Expr::Binary(it) if it.op.to_string() == "or" => {
            Some(bound(&it.lhs, recorded)?.union(&bound(&it.rhs, recorded)?).cloned().collect())
        }
        Expr::Binary(it) if it.op.is_set_operator() => bound(&it.lhs, recorded),
        Expr::Binary(it) => match (&it.modifier.as_ref().map(|modifier| &modifier.card), on(it)) {
            (Some(VectorMatchCardinality::ManyToOne(_) | VectorMatchCardinality::OneToMany(_)), _) => None,
            (_, Some(labels)) => Some(labels),
            (_, None) => bound(&it.lhs, recorded),
        },
        _ => None,
    }
}

/// Whether no two series of an expression agree in these labels, whatever others they have.
fn is_one_each(expression: &Expr, by: &Labels, recorded: &Recorded) -> bool {
    if bound(expression, recorded).is_some_and(|labels| labels.is_subset(by)) {
        return true;
    }
    let one = |it: &Expr| is_one_each(it, by, recorded);
    match expression {
        Expr::VectorSelector(selector) => selector.name.as_ref().and_then(|name| recorded.get(name)).is_some_and(one),
        Expr::Aggregate(it) => {
            let grouped = matches!(&it.modifier, Some(LabelModifier::Include(labels))
                if labels.labels.iter().all(|label| by.contains(label)));
            let of_one = matches!(it.param.as_deref(), Some(Expr::NumberLiteral(number)) if number.val == 1.0);
            it.op.to_string() == "topk" && grouped && of_one
        }
        Expr::Paren(paren) => one(&paren.expr),
        Expr::Call(call) if call.func.name == "label_replace" => {
            let written = matches!(&*call.args.args[1], Expr::StringLiteral(label) if !by.contains(&label.val));
            written && one(&call.args.args[0])
        }
        Expr::Call(call) => call.args.args.iter().find(|it| !is_scalar(it)).is_some_and(|it| one(it)),
        Expr::Binary(it) if is_scalar(&it.lhs) => one(&it.rhs),
        Expr::Binary(it) if is_scalar(&it.rhs) => one(&it.lhs),
        Expr::Binary(it) if it.op.to_string() == "or" => {
            on(it).is_some_and(|labels| labels.is_subset(by)) && one(&it.lhs) && one(&it.rhs)
        }
        Expr::Binary(it) => one(&it.lhs),
        _ => false,
    }
}

/// What is wrong with one operation.
fn wrong(it: &BinaryExpr, recorded: &Recorded) -> Option<String> {
    if is_scalar(&it.lhs) || is_scalar(&it.rhs) {
        return None;
    }
    let op = it.op.to_string();
    let modifier = it.modifier.as_ref();
    if modifier.is_some_and(|it| matches!(&it.matching, Some(LabelModifier::Exclude(labels)) if !labels.is_empty())) {
        return Some("ignoring(…) takes a label that nobody thought of for one of the join; write on(…)".to_owned());
    }
    let Some(by) = on(it) else {
        // All labels count: the two sides must have the same ones, or nothing ever fits.
        let same = op == "or" || bound(&it.lhs, recorded) == bound(&it.rhs, recorded);
        return (!same).then(|| format!("the sides of {op} keep different labels; nothing fits where there are more"));
    };
    let one = |side: &Expr| is_one_each(side, &by, recorded);
    let fits = match modifier.map(|it| &it.card) {
        _ if op == "unless" => one(&it.rhs),
        _ if it.op.is_set_operator() => true,
        Some(VectorMatchCardinality::ManyToOne(_)) => one(&it.rhs),
        Some(VectorMatchCardinality::OneToMany(_)) => one(&it.lhs),
        _ => one(&it.lhs) && one(&it.rhs),
    };
    (!fits).then(|| format!("{op} on ({by:?}) joins what isn't aggregated to these labels"))
}

fn complaints(expression: &Expr, recorded: &Recorded, found: &mut Vec<String>) {
    let mut into = |it: &Expr| complaints(it, recorded, found);
    match expression {
        Expr::Aggregate(it) => into(&it.expr),
        Expr::Unary(it) => into(&it.expr),
        Expr::Paren(it) => into(&it.expr),
        Expr::Subquery(it) => into(&it.expr),
        Expr::Call(it) => it.args.args.iter().for_each(|argument| into(argument)),
        Expr::Binary(it) => {
            into(&it.lhs);
            into(&it.rhs);
            found.extend(wrong(it, recorded).map(|sentence| format!("{sentence}: {expression}")));
        }
        _ => {}
    }
}

fn recorded() -> Recorded {
    let recording = rules().into_iter().filter(|rule| rule["record"].is_string());
    recording
        .map(|rule| (rule["record"].as_str().unwrap().to_owned(), parsed(rule["expr"].as_str().unwrap())))
        .collect()
}

#[test]
fn no_join_of_a_rule_needs_series_to_be_unique() {
    let recorded = recorded();
    let mut found = Vec::new();
    for rule in rules() {
        complaints(&parsed(rule["expr"].as_str().unwrap()), &recorded, &mut found);
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_join_of_a_panel_needs_series_to_be_unique() {
    let recorded = recorded();
    let mut found = Vec::new();
    for path in files("dashboards", ".json") {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (_, query) in crate::daemon::queries(&dashboard) {
            complaints(&parsed(&query), &recorded, &mut found);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_join_without_aggregation_is_noticed() {
    let recorded =
        BTreeMap::from([("one:each".to_owned(), parsed("topk by (i) (1, x)")), ("many".to_owned(), parsed("x > 1"))]);
    for (expression, wanted) in [
        ("a * on (i) group_left (n) topk by (i) (1, b)", 0),
        ("a * on (i) group_left (n) one:each", 0),
        ("a * on (i) group_left (n) label_replace(one:each, \"n\", \"-\", \"n\", \"\")", 0),
        ("a * on (i) group_left (n) (max by (i) (b) or on (i) one:each)", 0),
        ("max by (i) (a) + on (i) (time() - min by (i) (b))", 0),
        ("a unless on (i) max by (i) (b) == 0", 0),
        ("a and on (i) b", 0),
        ("a / b", 0),
        ("max by (i) (a) / min by (i) (b)", 0),
        ("a * on (i) group_left (n) b", 1),
        ("a * on (i) group_left (n) many", 1),
        ("a * on (i) group_left (n) max without (k) (b)", 1),
        ("a * on (i) group_left (n) max by (i, k) (b)", 1),
        ("a * on (i) group_left (n) topk by (i) (2, b)", 1),
        ("a * on (i) group_left (n) label_replace(one:each, \"i\", \"-\", \"n\", \"\")", 1),
        ("a * on (i) group_left (n) (max by (i) (b) or one:each)", 1),
        ("a * on (i) group_right (n) max by (i) (b)", 1),
        ("a > on (i) max by (i) (b)", 1),
        ("max by (i) (a) > on (i) b", 1),
        ("a unless on (i) b == 0", 1),
        ("a + ignoring (k) b", 1),
        ("max by (i) (a) / b", 1),
        ("max(sum by (k) (a * on (i) group_left () b))", 1),
    ] {
        let mut found = Vec::new();
        complaints(&parsed(expression), &recorded, &mut found);
        assert_eq!(found.len(), wanted, "{expression}: {found:?}");
    }
}
