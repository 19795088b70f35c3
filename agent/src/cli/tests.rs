use super::*;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"cgtap").chain(args))
}

#[test]
fn the_definition_is_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn mistakes_end_with_status_2_and_name_themselves() {
    for (args, part) in [
        (&[][..], "Usage"),
        (&["bogus"], "bogus"),
        (&["serve", "--bogus"], "--bogus"),
        (&["serve", "extra"], "extra"),
        (&["serve", "--listen", "nonsense"], "--listen"),
        (&["check", "--oom-source", "x"], "tp_btf"),
        (&["events", "--types", "oom"], "oom_kill"),
        (&["events", "--url", "ftp://x"], "http://HOST:PORT"),
        (&["events", "--limit", "0"], "--limit"),
    ] {
        let err = parse(args).expect_err(&args.join(" "));
        assert_eq!(err.exit_code(), 2, "{args:?}");
        assert!(err.to_string().contains(part), "{args:?}: {err}");
    }
}

#[test]
fn a_value_of_a_variable_is_refused_by_the_name_of_the_variable() {
    for (args, variable) in [
        (&["serve", "--oom-source", "x"][..], "CGTAP_OOM_SOURCE"),
        (&["serve", "--timestamps=x"], "CGTAP_TIMESTAMPS"),
        (&["events", "--url", "x"], "CGTAP_URL"),
    ] {
        let refused = || parse(args).expect_err("refused");
        let text = with_variable(refused(), std::iter::empty(), |name| name == variable).to_string();
        assert!(text.contains(&format!("'{variable}'")), "{text}");
        let given = args.iter().map(|&arg| arg.to_owned());
        let text = with_variable(refused(), given, |name| name == variable).to_string();
        assert!(!text.contains(variable), "the flag wins: {text}");
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    for args in [&["--help"][..], &["--version"], &["serve", "--help"], &["events", "-h"]] {
        assert_eq!(parse(args).expect_err("printed").exit_code(), 0, "{args:?}");
    }
}
