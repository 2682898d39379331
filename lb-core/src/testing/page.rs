//! Test vectors that a page of the documentation prints: fenced blocks of lines, each with a name and a value.

use std::collections::BTreeMap;

/// The fields of a block by name; lines of one name are one field.
pub(crate) struct Fields(BTreeMap<&'static str, String>);

/// The content of the page's blocks of this kind.
pub(crate) fn blocks(page: &'static str, kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    page.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The fields of each of the page's blocks of this kind.
pub(crate) fn fields(page: &'static str, kind: &str) -> Vec<Fields> {
    blocks(page, kind).into_iter().map(Fields::of).collect()
}

impl Fields {
    fn of(block: &'static str) -> Self {
        let mut fields = BTreeMap::<&str, String>::new();
        for line in block.lines() {
            let (name, value) = line.split_once(' ').unwrap();
            fields.entry(name).or_default().push_str(value);
        }
        Self(fields)
    }

    /// The field's value; nothing where the block has no such field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a field that the block must have.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
    }

    /// The number of a field that the block must have.
    pub(crate) fn number<N: TryFrom<u64>>(&self, name: &str) -> N {
        let number = self.text(name).parse::<u64>().unwrap();
        N::try_from(number).unwrap_or_else(|_| panic!("{name} {number} is too great"))
    }

    /// The hex digits of a field that the block must have.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let digits: Vec<u8> = self.text(name).bytes().filter(|byte| *byte != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }
}
