//! A systemd unit file: the unit's description.
//!
//! Manual: <https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html>
//!
//! ```text
//! [Unit]
//! Description=Getty on %I
//! [Service]
//! ExecStart=...
//! ```
//! The last assignment in the section counts; a backslash at the end goes on with the next line. Of the specifiers
//! those that follow from the unit's name are replaced: `%n`, `%N`, `%p`, `%i`, `%I`, `%%`.

use super::scan::text;

/// The description of the unit of that name; `None` when its file has none.
pub fn unit_description(input: &[u8], unit: &str) -> Option<String> {
    let (mut is_unit_section, mut found) = (false, None);
    let joined = text(input).replace("\\\n", " ");
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            is_unit_section = line == "[Unit]";
        } else if is_unit_section
            && let Some((key, value)) = line.split_once('=')
            && key.trim_end() == "Description"
        {
            found = Some(expand(value.trim(), unit)).filter(|value| !value.is_empty());
        }
    }
    found
}

/// `systemd.unit(5)`, "Specifiers".
fn expand(value: &str, unit: &str) -> String {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut expanded = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => expanded.push_str(unit),
            Some('N') => expanded.push_str(stem),
            Some('p') => expanded.push_str(prefix),
            Some('i') => expanded.push_str(instance),
            Some('I') => expanded.push_str(&instance.replace('-', "/")),
            Some('%') => expanded.push('%'),
            // Others need more than the name: they stay as they are written.
            other => {
                expanded.push('%');
                expanded.extend(other);
            }
        }
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_of_its_section_counts() {
        let text = b"# x\n[Install]\nDescription=no\n[Unit]\nDescription=first\nDescription = Regular \\\njobs\n[Service]\nDescription=no\n";
        assert_eq!(unit_description(text, "cron.service").as_deref(), Some("Regular  jobs"));
        assert_eq!(unit_description(b"[Unit]\nDescription=a\nDescription=\n", "a.service"), None, "reset");
        assert_eq!(unit_description(b"[Service]\n\xff\n", "a.service"), None);
    }

    #[test]
    fn what_the_name_has_is_put_in() {
        let text = b"[Unit]\nDescription=%p on %I, %i of %n, 100%%, %H %\n";
        let found = unit_description(text, "getty@dev-tty1.service");
        assert_eq!(
            found.as_deref(),
            Some("getty on dev/tty1, dev-tty1 of getty@dev-tty1.service, 100%, %H %")
        );
    }
}
