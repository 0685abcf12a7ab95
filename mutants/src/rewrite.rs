//! Writes a source file anew with all of its mutants in it, each behind its number.
//!
//! `a < b` becomes `(if on(7) { (a) > (b) } else if on(8) { (a) == (b) } else { a < b })`. Only one mutant is
//! on at a time, so that the mutated branches take the operands as they were, and only the last branch
//! holds what is rewritten within: the text grows with the number of mutants, not with their depth. A
//! function's result is replaced at the head of its body, `if on(9) { return Ok(()); }`, and a match arm
//! is taken away by a guard.

use crate::list::{Mutant, Place, offset};
use proc_macro2::LineColumn;
use std::collections::BTreeMap;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A file with its mutants in it.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// The text.
    pub text: String,
    /// The stretches of the text that belong to mutants; those within stand behind.
    pub regions: Vec<(Range<usize>, Vec<u32>)>,
    /// What could not be put in, for nothing that can be switched stands at its place.
    pub left_out: Vec<u32>,
}

/// What is done at one stretch of the source.
#[derive(Default)]
struct Site {
    /// What the expression is instead, by number.
    instead: Vec<(u32, String)>,
    /// Written in front: the heads of functions, and guards of arms without one.
    before: Vec<(u32, String)>,
    /// Arms that are taken away by this guard.
    arms: Vec<u32>,
    /// The name of a field that is written `field` for `field: field`.
    shorthand: Option<String>,
}

/// Rewrites `text` with these mutants of its file.
pub fn rewrite(text: &str, mutants: &[&Mutant]) -> Result<Rewritten, String> {
    let file = syn::parse_file(text).map_err(|error| error.to_string())?;
    let mut left_out = Vec::new();
    let mut finder = Finder { text, wanted: BTreeMap::new(), sites: BTreeMap::new() };
    for mutant in mutants {
        let (start, end) = (offset(text, mutant.span.start), offset(text, mutant.span.end));
        match mutant.genre.as_str() {
            // A function that returns `impl Iterator` can return one type only.
            "FnValue" if mutant.replacement.starts_with("::std::iter::") => left_out.push(mutant.number),
            "FnValue" => {
                let head =
                    format!("if crate::mutation::on({}) {{ return {}; }}", mutant.number, mutant.replacement);
                finder.site(start..start).before.push((mutant.number, head));
            }
            "MatchArmGuard" => {
                finder.site(start..end).instead.push((mutant.number, mutant.replacement.clone()));
            }
            _ => finder.wanted.entry(start).or_default().push(mutant),
        }
    }
    finder.visit_file(&file);
    left_out.extend(finder.wanted.values().flatten().map(|mutant| mutant.number));
    // The outer before the inner; what is only put in front before what begins there.
    let mut sites: Vec<_> =
        finder.sites.into_iter().map(|((start, _, end), site)| (start..end, site)).collect();
    sites.sort_by_key(|(range, _)| (range.start, !range.is_empty(), std::cmp::Reverse(range.end)));
    let mut rewritten = Rewritten { left_out, ..Rewritten::default() };
    rewritten.write(text, 0..text.len(), &sites);
    Ok(rewritten)
}

impl Rewritten {
    fn write(&mut self, text: &str, range: Range<usize>, mut sites: &[(Range<usize>, Site)]) {
        let mut at = range.start;
        while let Some(((place, site), rest)) = sites.split_first() {
            let within =
                rest.iter().take_while(|(inner, _)| !place.is_empty() && inner.start < place.end).count();
            self.text += &text[at..place.start];
            self.write_site(text, place.clone(), site, &rest[..within]);
            at = place.end;
            sites = &rest[within..];
        }
        self.text += &text[at..range.end];
    }

    fn write_site(&mut self, text: &str, place: Range<usize>, site: &Site, within: &[(Range<usize>, Site)]) {
        for (number, head) in &site.before {
            self.text += " ";
            self.mutated(*number, head);
            self.text += " ";
        }
        if place.is_empty() {
            return;
        }
        let (from, own) = (self.text.len(), self.regions.len());
        if let Some(field) = &site.shorthand {
            self.text += &format!("{field}: ");
        }
        for arm in &site.arms {
            self.mutated(*arm, &format!("!crate::mutation::on({arm})"));
            self.text += " && ";
        }
        self.text += "(";
        for (number, instead) in &site.instead {
            self.text += &format!("if crate::mutation::on({number}) {{ ");
            self.mutated(*number, instead);
            self.text += " } else ";
        }
        self.text += if site.instead.is_empty() { "" } else { "{ " };
        self.write(text, place, within);
        self.text += if site.instead.is_empty() { ")" } else { " })" };
        let all = site.instead.iter().map(|(number, _)| *number).chain(site.arms.iter().copied());
        self.regions.insert(own, (from..self.text.len(), all.collect()));
    }

    fn mutated(&mut self, number: u32, text: &str) {
        let from = self.text.len();
        self.text += text;
        self.regions.push((from..self.text.len(), vec![number]));
    }

    /// The mutants in a stretch that take an arm of a match away.
    pub fn arms(&self, stretch: &Range<usize>) -> Vec<u32> {
        let within = self
            .regions
            .iter()
            .filter(|(region, _)| stretch.start <= region.start && region.end <= stretch.end);
        let is_guard = |region: &Range<usize>| {
            let text = &self.text[region.clone()];
            text.starts_with("if !crate::mutation::on") || text.starts_with("!crate::mutation::on")
        };
        within
            .filter(|(region, _)| is_guard(region))
            .flat_map(|(_, numbers)| numbers.iter().copied())
            .collect()
    }

    /// The mutants of the smallest region that holds the stretch.
    pub fn culprits(&self, stretch: &Range<usize>) -> Option<&[u32]> {
        let holds = |region: &&(Range<usize>, Vec<u32>)| {
            region.0.start <= stretch.start && stretch.end <= region.0.end
        };
        let smallest = self.regions.iter().filter(holds).min_by_key(|region| region.0.len())?;
        Some(&smallest.1)
    }
}

/// Finds the expressions that the mutants name by a place within.
struct Finder<'a> {
    text: &'a str,
    wanted: BTreeMap<usize, Vec<&'a Mutant>>,
    sites: BTreeMap<(usize, bool, usize), Site>,
}

impl<'a> Finder<'a> {
    fn site(&mut self, range: Range<usize>) -> &mut Site {
        self.sites.entry((range.start, range.is_empty(), range.end)).or_default()
    }

    fn at(&self, place: LineColumn) -> usize {
        offset(self.text, Place { line: place.line, column: place.column + 1 })
    }

    fn range(&self, of: &impl Spanned) -> Range<usize> {
        self.at(of.span().start())..self.at(of.span().end())
    }

    fn source(&self, of: &impl Spanned) -> &'a str {
        &self.text[self.range(of)]
    }

    /// The mutants of this genre at the place, which are then found.
    fn take(&mut self, start: usize, genre: &str) -> Vec<&'a Mutant> {
        let Some(here) = self.wanted.remove(&start) else { return Vec::new() };
        let (found, others): (Vec<_>, Vec<_>) = here.into_iter().partition(|mutant| mutant.genre == genre);
        if !others.is_empty() {
            self.wanted.insert(start, others);
        }
        found
    }

    fn instead(&mut self, range: Range<usize>, number: u32, text: String) {
        self.site(range).instead.push((number, text));
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        // A `let` in a chain can stand in no branch.
        if !has_let(&binary.left) && !has_let(&binary.right) {
            let operator = self.range(&binary.op).start;
            for mutant in self.take(operator, "BinaryOperator") {
                let (left, right) = (self.source(&*binary.left), self.source(&*binary.right));
                let text = match is_assignment(&binary.op) {
                    true => format!("{left} {} ({right})", mutant.replacement),
                    false => format!("({left}) {} ({right})", mutant.replacement),
                };
                self.instead(self.range(binary), mutant.number, text);
            }
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let operator = self.range(&unary.op).start;
        for mutant in self.take(operator, "UnaryOperator") {
            let text = format!("{}({})", mutant.replacement, self.source(&*unary.expr));
            self.instead(self.range(unary), mutant.number, text);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let start = self.range(arm).start;
        for mutant in self.take(start, "MatchArm") {
            match &arm.guard {
                Some((_, guard)) => self.site(self.range(&**guard)).arms.push(mutant.number),
                None => {
                    let end = self.range(&arm.pat).end;
                    let guard = format!("if !crate::mutation::on({})", mutant.number);
                    self.site(end..end).before.push((mutant.number, guard));
                }
            }
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expression: &'ast syn::ExprStruct) {
        let base = expression.rest.as_ref().map(|base| self.source(&**base));
        for field in &expression.fields {
            let start = self.range(field).start;
            for mutant in self.take(start, "StructField") {
                let name = self.source(&field.member).to_string();
                let text = match base {
                    None | Some("Default::default()") => "Default::default()".to_string(),
                    Some(base) => format!("({base}).{name}"),
                };
                let site = self.site(self.range(&field.expr));
                site.shorthand = field.colon_token.is_none().then_some(name);
                site.instead.push((mutant.number, text));
            }
        }
        visit::visit_expr_struct(self, expression);
    }
}

fn is_assignment(operator: &syn::BinOp) -> bool {
    use syn::BinOp::*;
    matches!(
        operator,
        AddAssign(_)
            | SubAssign(_)
            | MulAssign(_)
            | DivAssign(_)
            | RemAssign(_)
            | BitXorAssign(_)
            | BitAndAssign(_)
            | BitOrAssign(_)
            | ShlAssign(_)
            | ShrAssign(_)
    )
}

fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
