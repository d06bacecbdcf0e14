//! Finds the stylesheet that an XML document names itself: `<?xml-stylesheet href="page.xsl" type="text/xsl"?>`
//! (W3C, Associating Style Sheets with XML documents).
//!
//! Only the prolog is looked at, up to the root element, in any encoding that has ASCII in its place.

/// The `href` of the first `xml-stylesheet` instruction for XSLT that is not an alternate one.
pub fn stylesheet_of(document: &[u8]) -> Option<String> {
    let mut rest = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    loop {
        rest = rest.trim_ascii_start();
        if let Some(instruction) = rest.strip_prefix(b"<?") {
            let end = find(instruction, b"?>")?;
            if let Some(href) = str::from_utf8(&instruction[..end]).ok().and_then(href_of) {
                return Some(href);
            }
            rest = &instruction[end + 2..];
        } else if let Some(comment) = rest.strip_prefix(b"<!--") {
            rest = &comment[find(comment, b"-->")? + 3..];
        } else if let Some(doctype) = rest.strip_prefix(b"<!DOCTYPE") {
            rest = after_doctype(doctype)?;
        } else {
            return None; // The root element, or something that is no XML.
        }
    }
}

/// The `href` of an instruction, if it is `xml-stylesheet` and meant for us.
fn href_of(instruction: &str) -> Option<String> {
    let mut rest = instruction.strip_prefix("xml-stylesheet")?;
    let (mut href, mut kind, mut alternate) = (None, None, None);
    while rest.starts_with(BLANK) && !rest.trim_start_matches(BLANK).is_empty() {
        let (name, value) = rest.trim_start_matches(BLANK).split_once('=')?;
        let value = value.trim_start_matches(BLANK);
        let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
        let (value, behind) = value[1..].split_once(quote)?;
        match name.trim_end_matches(BLANK) {
            "href" => href = Some(unescaped(value)?),
            "type" => kind = Some(value.split(';').next()?.trim_matches(BLANK).to_ascii_lowercase()),
            "alternate" => alternate = Some(value),
            _ => {}
        }
        rest = behind;
    }
    let is_xslt = TYPES.contains(&kind?.as_str());
    href.filter(|_| is_xslt && rest.trim_matches(BLANK).is_empty() && alternate != Some("yes"))
}

/// The text of a pseudo-attribute: the predefined entities and character references are all that it may hold.
fn unescaped(value: &str) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, behind) = after.split_once(';')?;
        text.push_str(before);
        text.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let digits = name.strip_prefix('#')?;
                let code = match digits.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => digits.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = behind;
    }
    text.push_str(rest);
    Some(text)
}

/// What follows a document type declaration: its `>` is neither quoted, nor in the internal subset, nor in a comment or
/// an instruction there.
fn after_doctype(mut rest: &[u8]) -> Option<&[u8]> {
    let mut in_subset = false;
    loop {
        let (first, behind) = rest.split_first()?;
        rest = match first {
            b'"' | b'\'' => &behind[find(behind, &[*first])? + 1..],
            b'[' => {
                in_subset = true;
                behind
            }
            b']' => {
                in_subset = false;
                behind
            }
            b'<' if rest.starts_with(b"<!--") => &rest[find(rest, b"-->")? + 3..],
            b'<' if rest.starts_with(b"<?") => &rest[find(rest, b"?>")? + 2..],
            b'>' if !in_subset => return Some(behind),
            _ => behind,
        };
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

const TYPES: [&str; 4] = ["text/xsl", "application/xslt+xml", "text/xml", "application/xml"];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(prolog: &str) -> Option<String> {
        stylesheet_of(
            format!("{prolog}<root><?xml-stylesheet type='text/xsl' href='no.xsl'?></root>").as_bytes(),
        )
    }

    #[test]
    fn the_instruction_is_found_in_the_prolog_alone() {
        let instruction = r#"<?xml-stylesheet type="text/xsl" href="a.xsl"?>"#;
        for prolog in [
            instruction.to_owned(),
            format!("\u{feff}<?xml version='1.0'?>\n{instruction}"),
            format!("<!-- <?xml-stylesheet type='text/xsl' href='b.xsl'?> -->{instruction}"),
            format!("<!DOCTYPE a SYSTEM \"x>y\" [<!ENTITY b \"]>\"><!-- ]> ' --><?p ]>?>]>{instruction}"),
            format!("<?other href='b.xsl' type='text/xsl'?><?xml-stylesheets?>{instruction}"),
        ] {
            assert_eq!(found(&prolog).as_deref(), Some("a.xsl"), "{prolog}");
        }
        assert_eq!(found(""), None);
    }

    #[test]
    fn the_first_that_is_for_xslt_and_no_alternate_counts() {
        let prolog = "<?xml-stylesheet href='a.css' type='text/css'?>\
             <?xml-stylesheet alternate='yes' href='b.xsl' type='text/xsl'?>\
             <?xml-stylesheet\n href = 'c.xsl'\ttype='application/xslt+xml; charset=utf-8' title='t' ?>\
             <?xml-stylesheet href='d.xsl' type='text/xsl'?>";
        assert_eq!(found(prolog).as_deref(), Some("c.xsl"));
    }

    #[test]
    fn references_stand_for_characters() {
        let prolog = "<?xml-stylesheet type='text/xsl' href='a&amp;&#98;&#x63;&lt;&apos;.xsl'?>";
        assert_eq!(found(prolog).as_deref(), Some("a&bc<'.xsl"));
    }

    #[test]
    fn what_is_not_well_formed_names_nothing() {
        for prolog in [
            "<?xml-stylesheet?>",
            "<?xml-stylesheet type='text/xsl'?>",
            "<?xml-stylesheet href='a.xsl'?>",
            "<?xml-stylesheet type=text/xsl href='a.xsl'?>",
            "<?xml-stylesheet type='text/xsl' href='a&nbsp;.xsl'?>",
            "<?xml-stylesheet type='text/xsl' href='a.xsl' nonsense?>",
            "<?xml-stylesheet type='text/xsl'href='a.xsl'?>",
            "<?xml-stylesheet type='text/xsl' href='&#xd800;'?>",
            "<!DOCTYPE a [",
            "<!--",
            "<?xml-stylesheet type='text/xsl' href='a.xsl'",
            "text",
        ] {
            assert_eq!(found(prolog), None, "{prolog}");
        }
    }
}
