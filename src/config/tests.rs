use super::*;
use crate::model::Span;
use crate::queue::Class;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The least a file has to say.
const LEAST: &str = r#"
hostname = "mx.example.jp"
[registration]
addresses = ["bizanpi@example.jp"]
[sender]
address = "anpi@example.jp"
bounce_domain = "bounce.example.jp"
[web]
public_url = "https://www.example.jp"
"#;

const SHIPPED: &str = include_str!("../../config/karamail.toml");

fn read(text: &str) -> Result<Config, Vec<String>> {
    Config::read(text, Path::new("/etc/karamail"))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// What is wrong with the least file once `more` stands before its first table.
fn wrong(more: &str) -> Vec<String> {
    read(&format!("{more}\n{LEAST}")).unwrap_err()
}

/// A file in the way of a test.
fn put(folder: &Path, name: &str, text: &str, mode: u32) {
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// What a file says once it is believed, line by line. The names of templates come in no order; which there are does not
/// depend on the file. Advice knows its line, so it is left out.
fn believed(text: &str) -> Vec<String> {
    let config = Config { advice: Vec::new(), ..read(text).unwrap() };
    let shown = format!("{config:#?}");
    shown.lines().filter(|line| !line.contains(".tera")).map(str::to_owned).collect()
}

/// The settings that a file names, in a line of its own or behind "# ", sorted.
fn named(text: &str) -> Vec<String> {
    let mut table = String::new();
    let mut named = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(rest) = line.strip_prefix("[[") {
            table = format!("{}[1].", rest.split("]]").next().unwrap());
        } else if let Some(rest) = line.strip_prefix('[') {
            table = format!("{}.", rest.split(']').next().unwrap());
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            named.push(format!("{table}{key}"));
        }
    }
    named.sort();
    named
}

fn all_settings() -> Vec<String> {
    let mut settings = Config::settings();
    settings.sort();
    settings
}

#[test]
fn the_shipped_file_says_what_is_so_without_it() {
    assert_eq!(believed(SHIPPED), believed(LEAST));
    for text in [SHIPPED, LEAST] {
        let advised: Vec<String> = read(text).unwrap().advice.into_iter().map(|advice| advice.key).collect();
        assert_eq!(advised, ["web.trusted_proxies"]);
    }
}

#[test]
fn the_shipped_file_names_every_setting_there_is_and_no_other() {
    assert_eq!(named(SHIPPED), all_settings());
}

#[test]
fn every_setting_of_the_shipped_file_has_a_remark_or_a_table_that_has_one() {
    let mut bare = Vec::new();
    for line in SHIPPED.lines().filter(|line| line.contains(" = ") && !line.contains('#')) {
        // Names, and the waits below one remark for all classes, say what they are.
        let key = line.split(" = ").next().unwrap();
        if !["url", "title", "title_en", "listen", "give_up", "retry"].contains(&key) {
            bare.push(line);
        }
    }
    assert_eq!(bare, [""; 0]);
}

#[test]
fn a_difference_from_the_defaults_and_a_setting_too_few_or_too_many_are_found() {
    for (from, to) in [
        ("max_message = \"1 MiB\"", "max_message = \"2 MiB\""),
        ("reply_limit = \"3/1h\"", "reply_limit = \"4/1h\""),
        ("link_lifetime = \"24h\"", "link_lifetime = \"25h\""),
        ("private_addresses = false", "private_addresses = true"),
        ("tls = \"opportunistic\"", "tls = \"require\""),
        ("listen = [\"127.0.0.1:8081\"]", "listen = []"),
        ("format = \"text\"", "format = \"json\""),
        ("audit_kept = \"1826d\"", "audit_kept = \"1825d\""),
        ("retry = [\"5s\", \"15s\"", "retry = [\"6s\", \"15s\""),
        ("give_up = \"5d\"", "give_up = \"4d\""),
    ] {
        assert!(SHIPPED.contains(from), "{from}");
        assert_ne!(believed(&SHIPPED.replacen(from, to, 1)), believed(LEAST), "{from}");
    }
    for line in ["max_message = ", "# key_file = ", "# rate = ", "trusted_proxies = ", "audit_kept = "] {
        let without: Vec<&str> = SHIPPED.lines().filter(|one| !one.contains(line)).collect();
        assert_ne!(named(&without.join("\n")), all_settings(), "{line}");
    }
    assert_ne!(named(&format!("{SHIPPED}\ncolour = \"blue\"")), all_settings());
    assert!(read(&SHIPPED.replacen("[log]", "[log]\ncolour = \"blue\"", 1)).is_err());
}

#[test]
fn the_example_of_the_interface_is_refused_only_for_what_does_not_exist_yet() {
    let text = format!(
        "{}\n[[imap]]\nhost = \"x\"\n[lmtp]\nlisten = []\n[api]\nlisten = [\"127.0.0.1:8081\"]",
        LEAST
            .replace("[registration]", "[smtp]\ntls_cert = \"x\"\ntls_key = \"x\"\nproxy_protocol_from = []\n[registration]\nauthentication = \"require\"")
            .replace("[web]", "[web]\ntls_cert = \"x\"\ntls_key = \"x\"")
    );
    let said = read(&text).unwrap_err();
    let keys: Vec<&str> = said.iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(keys, ["smtp.proxy_protocol_from", "registration.authentication", "imap", "lmtp",]);
    assert!(said.iter().all(|line| line.contains("yet") && line.contains("hint: ")), "{said:#?}");
}

#[test]
fn relative_paths_lie_below_the_data_folder_and_that_one_beside_the_file() {
    let config = read(&format!(
        "data_dir = \"data\"\n{LEAST}\n[[dkim]]\ndomain = \"example.jp\"\nselector = \"s\"\nkey_file = \"own.pem\"\n[smtp]\n\
         tls_cert = \"mx.pem\"\ntls_key = \"/etc/letsencrypt/live/mx/privkey.pem\""
    ))
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/karamail/data"));
    assert_eq!(config.dkim[0].key_file.as_deref(), Some(Path::new("/etc/karamail/data/own.pem")));
    let tls = config.smtp.tls.unwrap();
    assert_eq!(tls.cert, Path::new("/etc/karamail/data/mx.pem"));
    assert_eq!(tls.key, Path::new("/etc/letsencrypt/live/mx/privkey.pem"));
    assert!(matches!(config.storage, Storage::Sqlite(file) if file == Path::new("/etc/karamail/data/karamail.db")));
}

#[test]
fn own_templates_lie_beside_the_file_or_where_it_says_and_the_rest_is_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let names = |text: &str| {
        Config::read(text, folder.path())
            .map(|config| format!("{:?}", config.templates))
            .map_err(|wrong| wrong.to_string())
    };
    let built_in = names(LEAST).unwrap();
    assert!(built_in.contains("bilingual/registration.body.tera"));
    for place in ["mail-templates", "own"] {
        fs::create_dir_all(folder.path().join(place).join("en")).unwrap();
        put(folder.path(), &format!("{place}/README"), "not a template", 0o644);
        put(folder.path(), &format!("{place}/en/registration.subject.tera"), "Hello", 0o644);
        let said = if place == "own" { "templates_dir = \"own\"" } else { "" };
        let with_own = names(&format!("{said}\n{LEAST}")).unwrap();
        assert!(with_own.contains("en/registration.subject.tera") && with_own.len() > built_in.len(), "{with_own}");
        fs::remove_dir_all(folder.path().join(place)).unwrap();
    }
    let said = names(&format!("templates_dir = \"none\"\n{LEAST}")).unwrap_err();
    assert!(said.starts_with("line 1: templates_dir: ") && said.contains("none: cannot be read"), "{said}");
}

#[test]
fn every_fault_of_own_templates_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("mail-templates/ja")).unwrap();
    put(folder.path(), "mail-templates/ja/registration.subject.tera", "{{ tilte }}", 0o644);
    put(folder.path(), "mail-templates/ja/registraton.body.tera", "x", 0o644);
    let said = Config::read(LEAST, folder.path()).unwrap_err().to_string();
    for file in ["mail-templates/ja/registration.subject.tera: ", "mail-templates/ja/registraton.body.tera: "] {
        assert!(said.contains(file), "{said}");
    }
}

#[test]
fn secrets_come_from_files_that_not_everybody_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let smarthost = |more: &str| {
        let text = format!(
            "data_dir = \".\"\n{LEAST}\n[delivery]\nroute = \"smarthost\"\nsmarthost = \"relay.example.jp:587\"\ntls = \"require\"\nuser = \"u\"\n{more}"
        );
        Config::read(&text, folder.path()).map_err(|problems| problems.to_string())
    };
    put(folder.path(), "secret", "hunter2\r\n", 0o640);
    let config = smarthost("password_file = \"secret\"").unwrap();
    let Route::Smarthost(Smarthost { login: Some(login), .. }) = &config.delivery.route else { panic!("{config:?}") };
    assert_eq!(login.password.reveal(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));

    put(folder.path(), "open", "hunter2", 0o644);
    put(folder.path(), "empty", "\n", 0o600);
    put(folder.path(), "long", &"x".repeat(5_000), 0o600);
    for (more, expected) in [
        ("password_file = \"open\"", "everybody on this machine can read it"),
        ("password_file = \"empty\"", "is empty"),
        ("password_file = \"long\"", "is longer than a secret is"),
        ("password_file = \"none\"", "cannot be read"),
        ("password_file = \"secret\"\npassword = \"x\"", "says the same as password"),
        ("", "needs a password"),
    ] {
        let said = smarthost(more).unwrap_err();
        assert!(said.contains(expected) && said.lines().count() == 1 && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_database_address_with_a_password_is_never_shown() {
    let config = read(&format!("{LEAST}\n[storage]\nurl = \"postgres://u:hunter2@db.example.jp/karamail\"")).unwrap();
    assert!(matches!(config.storage, Storage::Postgres(_)));
    assert!(!format!("{config:?}").contains("hunter2"));
    let said = read(&format!("{LEAST}\n[storage]\nurl = \"postgres://u:hunter2@db:notaport/x\"")).unwrap_err();
    assert!(said[0].contains("is no address of a PostgreSQL database") && !said[0].contains("hunter2"), "{said:?}");
    for url in ["mysql://x", "sqlite:", "sqlite::memory:", "sqlite:x?mode=memory", "karamail.db"] {
        assert_eq!(read(&format!("{LEAST}\n[storage]\nurl = \"{url}\"")).unwrap_err().len(), 1, "{url}");
    }
}

#[test]
fn the_mail_is_given_up_with_the_link_in_it_unless_the_file_says_sooner() {
    let give_up = |text: String| read(&text).unwrap().delivery.schedule(Class::Registration).give_up;
    let short = LEAST.replace("[registration]", "[registration]\nlink_lifetime = \"2h\"");
    let long = LEAST.replace("[registration]", "[registration]\nlink_lifetime = \"3d\"");
    assert_eq!(give_up(short.clone()), Span::from_secs(7_200));
    assert_eq!(give_up(long), Span::from_secs(86_400));
    assert_eq!(give_up(format!("{short}\n[delivery.class.registration]\ngive_up = \"90m\"")), Span::from_secs(5_400));
}

#[test]
fn certificates_of_own_authorities_must_be_there_when_the_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(["ca.example.jp".to_owned()]).unwrap();
    put(folder.path(), "ca.pem", &authority.cert.pem(), 0o644);
    put(folder.path(), "key.pem", &authority.signing_key.serialize_pem(), 0o600);
    let ca = |file: &str| {
        let text = format!("data_dir = \".\"\n{LEAST}\n[delivery]\ntls_ca_file = \"{file}\"");
        Config::read(&text, folder.path()).map_err(|problems| problems.to_string())
    };
    assert_eq!(ca("ca.pem").unwrap().delivery.tls_ca_file, Some(folder.path().join("ca.pem")));
    assert!(ca("key.pem").unwrap_err().contains("holds no certificate in PEM"));
    assert!(ca("none.pem").unwrap_err().contains("cannot be read"));
}

#[test]
fn keys_of_another_root_must_be_there_when_the_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let key = "mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==";
    put(folder.path(), "root.key", &format!(". 172800 IN DNSKEY 257 3 13 {key}\n"), 0o644);
    put(folder.path(), "other.key", &format!("example. 172800 IN DNSKEY 257 3 13 {key}\n"), 0o644);
    put(folder.path(), "ds.key", ". 172800 IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D084\n", 0o644);
    let root = |file: &str| {
        let text = format!("data_dir = \".\"\n{LEAST}\n[delivery]\ntrust_anchor = \"{file}\"");
        Config::read(&text, folder.path()).map_err(|problems| problems.to_string())
    };
    assert_eq!(root("root.key").unwrap().delivery.trust_anchor, Some(folder.path().join("root.key")));
    for file in ["other.key", "ds.key"] {
        assert!(root(file).unwrap_err().contains("holds no DNSKEY record of the root"), "{file}");
    }
    assert!(root("none.key").unwrap_err().contains("cannot be read"));
}

#[test]
fn source_addresses_are_addresses() {
    let bind = |list: &str| read(&format!("{LEAST}\n[delivery]\nbind = {list}")).map(|config| config.delivery.bind);
    let both: [std::net::IpAddr; 2] = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap());
    assert_eq!(bind("[\"192.0.2.1\", \"2001:db8::1\"]").unwrap(), both);
    let said = bind("[\"mx.example.jp\", \"192.0.2.1:25\"]").unwrap_err();
    assert!(said.len() == 2 && said.iter().all(|line| line.contains("delivery.bind: ")), "{said:?}");
}

#[test]
fn what_is_not_toml_is_said_with_its_lines_all_of_them() {
    let said = read("a = = 1\nb = 2\nc = [\n").unwrap_err();
    assert!(said.len() >= 2 && said[0].starts_with("line 1: this is not TOML: "), "{said:#?}");
    assert!(said.iter().all(|line| !line.contains("is missing")), "{said:#?}");
}

#[test]
fn an_empty_file_misses_what_has_to_be_given_and_nothing_else() {
    let said = read("").unwrap_err().join("\n");
    for key in ["hostname", "registration.addresses", "sender.address", "sender.bounce_domain", "web.public_url"] {
        assert!(said.contains(&format!("{key}: is missing (hint: for example ")), "{said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let said = Config::load(&folder.path().join("none.toml")).unwrap_err().to_string();
    assert!(said.starts_with("cannot be read: "), "{said}");
    put(folder.path(), "karamail.toml", "caf\u{e9}", 0o600);
    fs::write(folder.path().join("karamail.toml"), b"hostname = \"\xe9\"").unwrap();
    assert!(Config::load(&folder.path().join("karamail.toml")).is_err());
}

#[test]
fn values_of_another_kind_are_named_as_what_they_are() {
    for (more, expected) in [
        ("hostname = 25", "hostname: must be a text in quotes, not a number"),
        ("smtp = \"x\"", "smtp: must be a table: [smtp], not a text"),
        ("dkim = [1]", "dkim: must be a list of tables: [[dkim]], not a number"),
        ("delivery.port = \"25\"", "delivery.port: must be a whole number, without quotes, not a text"),
        ("delivery.port = 0", "delivery.port: must be between 1 and 65535, not 0"),
        ("delivery.port = 0x1_0000", "delivery.port: must be between 1 and 65535, not 10000"),
        (
            "delivery.private_addresses = \"yes\"",
            "delivery.private_addresses: must be true or false, without quotes, not a text",
        ),
        ("smtp.listen = \"0.0.0.0:25\"", "smtp.listen: must be a list of texts, [\"…\", \"…\"], not a text"),
        ("smtp.listen = [25]", "smtp.listen: must be a list of texts in quotes, not a number"),
        ("log.format = \"xml\"", "log.format: “xml” is not one of \"text\", \"json\""),
    ] {
        let text = if more.starts_with("hostname") {
            LEAST.replace("hostname = \"mx.example.jp\"", more)
        } else {
            format!("{more}\n{LEAST}")
        };
        let said = read(&text).unwrap_err();
        let mut shown = String::new();
        writeln!(shown, "{said:#?}").unwrap();
        assert!(said.len() == 1 && said[0].contains(expected), "{more}: {shown}");
    }
}

#[test]
fn a_key_in_the_wrong_place_is_shown_where_it_belongs() {
    let said = wrong("max_message = \"1 MiB\"\n");
    assert_eq!(
        said,
        ["line 1: max_message: there is no such setting (hint: did you mean “max_message”? It belongs to [smtp])"]
    );
    let said = read(&format!("{LEAST}\nhostname = \"x.jp\"")).unwrap_err();
    assert_eq!(said.len(), 1);
    assert!(said[0].ends_with(
        "web.hostname: there is no such setting (hint: did you mean “hostname”? It belongs before the first [table])"
    ));
}

proptest::proptest! {
    #[test]
    fn whatever_stands_in_the_file_is_read_or_complained_about(
        key in "[a-z_.]{1,12}",
        table in "(|\\[[a-z.]{1,12}\\]|\\[\\[[a-z]{1,8}\\]\\])",
        value in "([0-9a-z+:._-]{0,12}|\"[^\"\\\\\u{0}-\u{1f}]{0,24}\"|\\[[\"a-z0-9:., ]{0,24}\\]|\\{[a-z= ]{0,8}\\})",
        noise in "\\PC{0,40}",
    ) {
        for text in [format!("{table}\n{key} = {value}\n"), format!("{LEAST}\n{table}\n{key} = {value}\n"), noise.clone()] {
            match read(&text) {
                Ok(config) => proptest::prop_assert_eq!(config.hostname.as_str(), "mx.example.jp"),
                Err(problems) => proptest::prop_assert!(!problems.is_empty()),
            }
        }
    }
}
