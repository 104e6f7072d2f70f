//! Every route that the sources name, as a stranger and as a member, in both languages: a new one comes in by itself.

use super::frame::check;
use super::house::{ADDRESS, Browser, House, OWN, START};
use std::collections::BTreeSet;
use std::path::Path;

/// The routes that the sources of the pages name.
pub fn routes() -> BTreeSet<String> {
    handled("")
}

/// Those of them that take forms.
pub fn posts() -> BTreeSet<String> {
    let posts = handled("post(");
    assert!(posts.len() >= 20, "{posts:?}");
    posts
}

/// The routes whose line says this.
fn handled(by: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let routes = source.split(".route(").skip(1).filter(|rest| rest.lines().next().unwrap().contains(by));
            found.extend(routes.map(|rest| named(rest, &path)));
        }
    }
    found
}

fn named(rest: &str, path: &Path) -> String {
    let text = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
    text.unwrap_or_else(|| panic!("{} has a route that is no text", path.display())).0.to_owned()
}

/// Fills in what a route leaves open.
pub fn filled(route: &str, token: &str) -> String {
    let path = route.replace("{token}", token).replace("{kind}", "app").replace("{proof}", "app");
    assert!(!path.contains('{'), "say here what stands for the open part of {route}");
    path
}

/// Asks for a page and looks at it; where it lies elsewhere, at that one.
async fn look(browser: &mut Browser, path: &str, language: &str) {
    let asked = format!("{path}?lang={language}");
    browser.get(&asked).await;
    // What has no page has no frame either: the icon that browsers ask for.
    if browser.page.status != 204 {
        check(&browser.page, language, &["見本", "花子", "デモ団体"]);
    }
}

/// The other pages of ours to which a page leads.
fn links(browser: &Browser) -> BTreeSet<String> {
    let here = browser.path.split('?').next();
    let to = browser.page.body.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    to.filter(|to| to.starts_with('/') && Some(*to) != here).map(|to| to.replace("&amp;", "&")).collect()
}

#[tokio::test]
async fn r055_r058_r059_r060_every_route_has_languages_help_logout_and_headers_and_leads_to_pages_there_are() {
    let house = House::open().await;
    let token = house.registration(ADDRESS, Some("DEMO")).await;
    let mut member = house.browser();
    member.log_in(&token, "0001", START).await;
    member.submit(&[("new", OWN), ("again", OWN)]).await.has("優先順位を選ぶ");
    let routes = routes();
    assert!(routes.len() >= 12, "{routes:?}");
    let mut led = BTreeSet::new();
    for language in ["ja", "en"] {
        for route in &routes {
            let path = filled(route, &token);
            for browser in [&mut house.browser(), &mut member] {
                look(browser, &path, language).await;
                led.extend(links(browser));
            }
            assert!(member.page.status == 204 || member.page.body.contains("class=\"bar member\""), "{path}");
        }
    }
    for path in led {
        member.get(&path).await;
        assert!(member.page.status == 200, "a link leads to {path}: {}", member.page.status);
    }
    house.close().await;
}
