//! Who is told: routes, and quiet hours.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Notice, Phase, Topic, Urgency};
use crate::domain::ids::SourceName;
use crate::domain::window::Window;

/// A time of day at which nobody is to be disturbed.
#[derive(Debug, Clone, PartialEq)]
pub struct Quiet {
    /// When.
    pub hours: Window,
    /// Whether even critical notices wait.
    pub critical_too: bool,
}

impl Quiet {
    /// Until when a notice has to wait; `None` when it may be sent.
    fn holds(&self, severity: Urgency, now: Timestamp) -> Option<Timestamp> {
        let passes = severity == Urgency::Critical && !self.critical_too;
        if passes || !self.hours.contains(now) { None } else { Some(self.hours.end_after(now)) }
    }
}

/// One who can be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipient {
    /// The name of the receiver.
    pub name: Arc<str>,
    /// When it isn't to be disturbed.
    pub quiet: Option<Quiet>,
}

/// Which notices go to which receivers. An empty list of a criterion is no criterion.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Names of receivers.
    pub receivers: Vec<Arc<str>>,
    /// The mildest severity that goes this way.
    pub severity: Urgency,
    /// Environments of the item.
    pub environments: Vec<Arc<str>>,
    /// What it is about.
    pub topics: Vec<Topic>,
    /// Sources.
    pub sources: Vec<SourceName>,
    /// When what goes this way waits.
    pub quiet: Option<Quiet>,
    /// Whether further routes are tried after this one.
    pub go_on: bool,
}

impl Route {
    fn fits(&self, notice: &Notice) -> bool {
        let environment = |wanted: &Arc<str>| notice.environment.as_ref() == Some(wanted);
        let source = |wanted: &SourceName| notice.source.as_ref() == Some(wanted);
        notice.severity >= self.severity
            && (self.environments.is_empty() || self.environments.iter().any(environment))
            && (self.topics.is_empty() || self.topics.contains(&notice.topic))
            && (self.sources.is_empty() || self.sources.iter().any(source))
    }
}

/// All receivers and routes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Routes {
    /// Everybody who can be told.
    pub recipients: Vec<Recipient>,
    /// In order. Without any, everything goes to everybody.
    pub routes: Vec<Route>,
}

/// A receiver of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub receiver: Arc<str>,
    /// The end of the quiet hours that it waits for.
    pub hold_until: Option<Timestamp>,
}

impl Routes {
    /// Who is to be told of a notice at `now`. The end of a problem goes to everybody: who heard of it is known
    /// elsewhere, and the routes may have been others then.
    pub fn targets(&self, notice: &Notice, now: Timestamp) -> Vec<Target> {
        let mut targets = Vec::new();
        for recipient in &self.recipients {
            let Some(by_route) = self.reaches(&recipient.name, notice, now) else { continue };
            let own = recipient.quiet.as_ref().and_then(|quiet| quiet.holds(notice.severity, now));
            targets.push(Target { receiver: recipient.name.clone(), hold_until: own.max(by_route) });
        }
        targets
    }

    /// Whether a notice goes to a receiver, and until when the route makes it wait.
    fn reaches(&self, receiver: &Arc<str>, notice: &Notice, now: Timestamp) -> Option<Option<Timestamp>> {
        if !notice.receivers.is_empty() && notice.phase != Phase::Recovered {
            return notice.receivers.contains(receiver).then_some(None);
        }
        let mut holds: Vec<Option<Timestamp>> = Vec::new();
        for route in self.routes.iter().filter(|route| route.fits(notice)) {
            if route.receivers.contains(receiver) {
                holds.push(route.quiet.as_ref().and_then(|quiet| quiet.holds(notice.severity, now)));
            }
            if !route.go_on {
                break;
            }
        }
        if self.routes.is_empty() || notice.phase == Phase::Recovered {
            holds.extend(holds.is_empty().then_some(None));
        }
        // The way without quiet hours is the shorter one.
        holds.into_iter().min()
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::super::tests::notice;
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T23:00:00Z".parse().unwrap()
    }

    fn route(receivers: &[&str]) -> Route {
        Route {
            receivers: receivers.iter().map(|name| Arc::from(*name)).collect(),
            severity: Urgency::Info,
            environments: Vec::new(),
            topics: Vec::new(),
            sources: Vec::new(),
            quiet: None,
            go_on: false,
        }
    }

    fn night() -> Quiet {
        Quiet { hours: Window::parse("22:00-06:00", TimeZone::UTC).unwrap(), critical_too: false }
    }

    fn routes(routes: Vec<Route>) -> Routes {
        let recipient = |name: &str| Recipient { name: name.into(), quiet: None };
        Routes { recipients: ["phone", "mail"].map(recipient).into(), routes }
    }

    fn names(routes: &Routes, notice: &Notice) -> Vec<String> {
        routes.targets(notice, now()).iter().map(|target| target.receiver.to_string()).collect()
    }

    #[test]
    fn the_first_route_that_fits_unless_it_goes_on() {
        let warning = notice("k");
        assert_eq!(names(&routes(vec![]), &warning), ["phone", "mail"]);
        let critical = Route { severity: Urgency::Critical, ..route(&["phone"]) };
        let both = routes(vec![critical.clone(), route(&["mail"])]);
        assert_eq!(names(&both, &warning), ["mail"]);
        let worst = Notice { severity: Urgency::Critical, ..notice("k") };
        assert_eq!(names(&both, &worst), ["phone"]);
        let further = routes(vec![Route { go_on: true, ..critical }, route(&["mail"])]);
        assert_eq!(names(&further, &worst), ["phone", "mail"]);
    }

    #[test]
    fn by_environment_topic_and_source() {
        let prod = Route { environments: vec!["prod".into()], ..route(&["phone"]) };
        let alert = Route { topics: vec![Topic::Alert], ..route(&["phone"]) };
        let source = Route { sources: vec!["b".parse().unwrap()], ..route(&["phone"]) };
        for other in [prod, alert, source] {
            assert!(names(&routes(vec![other]), &notice("k")).is_empty());
        }
        let named = Notice { receivers: vec!["mail".into()], ..notice("k") };
        assert_eq!(names(&routes(vec![route(&["phone"])]), &named), ["mail"]);
        let over = Notice { phase: Phase::Recovered, ..named };
        assert_eq!(names(&routes(vec![route(&["phone"])]), &over), ["phone", "mail"]);
    }

    #[test]
    fn quiet_hours_hold_what_is_not_critical() {
        let quiet = routes(vec![Route { quiet: Some(night()), ..route(&["phone"]) }]);
        let until = Some("2026-11-22T06:00:00Z".parse().unwrap());
        assert_eq!(quiet.targets(&notice("k"), now())[0].hold_until, until);
        let critical = Notice { severity: Urgency::Critical, ..notice("k") };
        assert_eq!(quiet.targets(&critical, now())[0].hold_until, None);
        let strict = Quiet { critical_too: true, ..night() };
        let strict = routes(vec![Route { quiet: Some(strict), ..route(&["phone"]) }]);
        assert_eq!(strict.targets(&critical, now())[0].hold_until, until);
        let mut own = routes(vec![]);
        own.recipients[0].quiet = Some(night());
        let holds: Vec<_> = own.targets(&notice("k"), now()).iter().map(|target| target.hold_until).collect();
        assert_eq!(holds, [until, None]);
    }
}
