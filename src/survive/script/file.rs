//! A script file: a header, and blocks of commands with what they say.

use crate::survive::script::read::{ReadError, read_commands, read_settings};
use crate::survive::script::{Command, Settings};

/// A file, cut into its blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// The lines above the first blank one, if they are a header: one of them begins with `engines:` or
    /// `options:`, and the others do too or are comments.
    pub header: Vec<String>,
    /// The words behind `engines:`.
    pub engines: Vec<String>,
    /// The words behind `options:`.
    pub options: Settings,
    /// What comes below it.
    pub blocks: Vec<Block>,
}

/// Commands, and what they say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The lines above the rule, as they are written.
    pub lines: Vec<String>,
    /// What they say to do.
    pub commands: Vec<Command>,
    /// The lines below the rule.
    pub said: Vec<String>,
}

impl Script {
    /// Reads a file. Blank lines separate blocks.
    pub fn read(text: &str) -> Result<Script, ReadError> {
        let mut script = Script::default();
        let lines: Vec<&str> = text.lines().collect();
        let mut at = 0;
        while at < lines.len() {
            let len = lines[at..].iter().take_while(|line| !line.trim().is_empty()).count();
            let block = &lines[at..at + len];
            if script.header.is_empty() && script.blocks.is_empty() && is_header(block) {
                script.read_header(block, at + 1)?;
            } else if len > 0 {
                script.blocks.push(Block::read(block, at + 1)?);
            }
            at += len.max(1);
        }
        Ok(script)
    }

    /// All commands, one block after the other.
    pub fn commands(&self) -> Vec<Command> {
        self.blocks.iter().flat_map(|block| &block.commands).cloned().collect()
    }

    fn read_header(&mut self, lines: &[&str], first: usize) -> Result<(), ReadError> {
        for (at, line) in lines.iter().enumerate() {
            let words = |rest: &str| rest.split_whitespace().map(str::to_string).collect::<Vec<_>>();
            if let Some(rest) = line.strip_prefix("engines:") {
                self.engines = words(rest);
            } else if let Some(rest) = line.strip_prefix("options:") {
                let words: Vec<_> = rest.split_whitespace().collect();
                let settings = read_settings(&words);
                self.options = settings.map_err(|reason| ReadError { line: first + at, reason })?;
            } else if !line.trim_start().starts_with('#') {
                let reason = format!(
                    "{line}: stands in the header, up to the first blank line, which has engines:, options: and \
                     comments; put a blank line above the first command"
                );
                return Err(ReadError { line: first + at, reason });
            }
            self.header.push((*line).to_string());
        }
        Ok(())
    }
}

fn is_header(block: &[&str]) -> bool {
    block.iter().any(|line| line.starts_with("engines:") || line.starts_with("options:"))
}

impl Block {
    fn read(lines: &[&str], first: usize) -> Result<Block, ReadError> {
        let mut parts = lines.splitn(2, |line| *line == "---");
        let above = parts.next().unwrap_or_default();
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_string()).collect();
        Ok(Block {
            commands: read_commands(above, first)?,
            lines: owned(above),
            said: owned(parts.next().unwrap_or_default()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Script;

    #[test]
    fn a_file_is_cut_into_its_blocks() {
        let text = "# A story.\nengines: bitcask lsm\noptions: a=1 b=2\n\n# Only words.\n\n\nsync\n---\nok\n\nget k\n---\n";
        let script = Script::read(text).unwrap();
        assert_eq!(script.header.len(), 3);
        assert_eq!(script.engines, ["bitcask", "lsm"]);
        assert_eq!(script.options, [("a".into(), "1".into()), ("b".into(), "2".into())]);
        let lines: Vec<_> = script.blocks.iter().map(|block| block.lines.join("|")).collect();
        assert_eq!(lines, ["# Only words.", "sync", "get k"]);
        assert_eq!(script.blocks[1].said, ["ok"]);
        assert_eq!(script.commands().len(), 2);
    }

    #[test]
    fn a_file_needs_no_header_and_errors_name_the_line() {
        assert_eq!(Script::read("sync\nget k\n").unwrap().commands().len(), 2);
        assert_eq!(Script::read("").unwrap(), Script::default());
        let error = Script::read("engines: lsm\n\nsync\n\nset a 1\nfrob\n---\nok\n").unwrap_err();
        assert_eq!(error.to_string(), "line 6: frob: no such command");
        assert_eq!(Script::read("options: a\n").unwrap_err().line, 1);
    }

    /// Whatever stood above the first blank line was header, and was not looked at: without that blank line,
    /// a script had no commands, none went wrong, and "all as they must be" was said of it.
    #[test]
    fn a_header_has_no_other_lines() {
        let line = |text: &str| Script::read(text).unwrap_err().line;
        assert_eq!(line("engines: lsm\nset a b\nnonsense\n"), 2);
        assert_eq!(line("foo\nengines: lsm\n\nset a b\n"), 1);
        assert_eq!(line("engines: lsm\noption: a=1\n\nset a b\n"), 2);
        let error = Script::read("engines: lsm\nset a b\n").unwrap_err().to_string();
        assert!(error.starts_with("line 2: set a b: ") && error.contains("a blank line"), "{error}");
    }
}
