//! The kernel's own description of its types (BTF): offsets of struct members, values of enums, arguments of
//! tracepoints.
//!
//! Format: <https://docs.kernel.org/bpf/btf.html>. Our own reader because only a handful of the 150,000 types are
//! asked for: it keeps the offset of each type and decodes on demand, in a few milliseconds and 4 bytes a type.
//! Everything is bounds-checked: a corrupt file is an error, never a panic.

use super::KernelError;

const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;

/// A chain of typedefs and qualifiers is never longer than this in a sound file.
const MAX_CHAIN: usize = 32;
/// Nor are anonymous structs nested deeper.
const MAX_NESTING: usize = 16;
/// Members that one question may look at: a struct that holds itself often would be looked through for ever. The
/// largest struct of a kernel has some hundreds.
const MAX_MEMBERS: usize = 1 << 17;

const OFFSET: &str = "an offset of 4 GiB or more";

pub(crate) struct Btf {
    data: Vec<u8>,
    strings: usize,
    /// Offset of each type's header; type ids begin at 1.
    types: Vec<u32>,
}

/// Where a member of a struct is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// From the start of the struct.
    pub(crate) offset_bytes: u32,
    type_id: u32,
}

#[derive(Clone, Copy)]
struct Type {
    at: usize,
    kind: u32,
    count: usize,
    flag: bool,
    /// Size in bytes, or the type that this one refers to.
    size_or_type: u32,
}

fn corrupt(what: &'static str) -> KernelError {
    KernelError(format!("BTF: {what}"))
}

impl Btf {
    /// Reads the header and finds the types.
    pub(crate) fn parse(data: Vec<u8>) -> Result<Self, KernelError> {
        let magic = data.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b));
        if magic != Some(MAGIC) {
            return Err(corrupt("no BTF magic in this byte order"));
        }
        let header =
            |index: usize| -> Result<usize, KernelError> { Ok(read_u32(&data, 4 + 4 * index)? as usize) };
        let (length, type_start, type_bytes, strings) = (header(0)?, header(1)?, header(2)?, header(3)?);
        let from = length.checked_add(type_start).ok_or_else(|| corrupt("type section out of range"))?;
        let to = from.checked_add(type_bytes).ok_or_else(|| corrupt("type section out of range"))?;
        let strings = length.checked_add(strings).ok_or_else(|| corrupt("string section out of range"))?;
        if to > data.len() || strings > data.len() {
            return Err(corrupt("a section ends after the data"));
        }
        let mut btf = Self { data, strings, types: Vec::new() };
        let mut at = from;
        while at < to {
            btf.types.push(u32::try_from(at).map_err(|_too_large| corrupt("larger than 4 GiB"))?);
            at += btf.at(at)?.encoded_bytes()?;
        }
        Ok(btf)
    }

    fn at(&self, at: usize) -> Result<Type, KernelError> {
        let info = read_u32(&self.data, at + 4)?;
        Ok(Type {
            at,
            kind: kind_of(info),
            count: (info & 0xffff) as usize,
            flag: info >> 31 == 1,
            size_or_type: read_u32(&self.data, at + 8)?,
        })
    }

    fn by_id(&self, id: u32) -> Result<Type, KernelError> {
        let index = (id as usize).checked_sub(1).ok_or_else(|| corrupt("void where a type was wanted"))?;
        let at = self.types.get(index).ok_or_else(|| corrupt("type id out of range"))?;
        self.at(*at as usize)
    }

    /// Whether the string at `offset` is `name`. Looks at no more than the name's length, however long the string.
    fn is_name(&self, offset: u32, name: &[u8]) -> bool {
        let from = self.strings + offset as usize;
        let rest = self.data.get(from..).and_then(|bytes| bytes.strip_prefix(name));
        rest.is_some_and(|rest| rest.first().is_none_or(|&b| b == 0))
    }

    /// The first type of that kind and name.
    fn find(&self, kind: u32, name: &str) -> Result<Option<Type>, KernelError> {
        for &at in &self.types {
            let at = at as usize;
            if kind_of(read_u32(&self.data, at + 4)?) == kind
                && self.is_name(read_u32(&self.data, at)?, name.as_bytes())
            {
                return self.at(at).map(Some);
            }
        }
        Ok(None)
    }

    /// Follows typedefs and qualifiers to the type itself.
    fn resolve(&self, id: u32) -> Result<Type, KernelError> {
        let mut found = self.by_id(id)?;
        for _ in 0..MAX_CHAIN {
            // typedef, volatile, const, restrict, type tag
            if !matches!(found.kind, 8..=11 | 18) {
                return Ok(found);
            }
            found = self.by_id(found.size_or_type)?;
        }
        Err(corrupt("a chain of typedefs without an end"))
    }

    /// The member at `path` (`a.b` looks into `a`) of a struct; anonymous structs and unions are looked through.
    pub(crate) fn member(&self, structure: &str, path: &str) -> Result<Option<Member>, KernelError> {
        let Some(mut holder) = self.find(KIND_STRUCT, structure)? else { return Ok(None) };
        let mut found: Option<Member> = None;
        for part in path.split('.') {
            if let Some(before) = found {
                holder = self.resolve(before.type_id)?;
            }
            let Some(member) = self.member_of(holder, part.as_bytes())? else { return Ok(None) };
            found = Some(member.within(found.map_or(0, |before| before.offset_bytes))?);
        }
        Ok(found)
    }

    fn member_of(&self, of: Type, name: &[u8]) -> Result<Option<Member>, KernelError> {
        self.direct_member(of, name, 0, &mut { MAX_MEMBERS })
    }

    fn direct_member(
        &self,
        of: Type,
        name: &[u8],
        depth: usize,
        budget: &mut usize,
    ) -> Result<Option<Member>, KernelError> {
        if !matches!(of.kind, KIND_STRUCT | KIND_UNION) || depth > MAX_NESTING {
            return Ok(None);
        }
        for index in 0..of.count {
            *budget = budget.checked_sub(1).ok_or_else(|| corrupt("a struct without an end"))?;
            let at = of.at + 12 + 12 * index;
            let (member_name, type_id) = (read_u32(&self.data, at)?, read_u32(&self.data, at + 4)?);
            let raw = read_u32(&self.data, at + 8)?;
            // With the flag the upper byte is a bit field's size.
            let bits = if of.flag { raw & 0x00ff_ffff } else { raw };
            let offset_bytes = bits / 8;
            if self.is_name(member_name, name) {
                return Ok(Some(Member { offset_bytes, type_id }));
            }
            if self.is_name(member_name, b"")
                && let Some(inner) = self.direct_member(self.resolve(type_id)?, name, depth + 1, budget)?
            {
                return inner.within(offset_bytes).map(Some);
            }
        }
        Ok(None)
    }

    /// The element of an array member: its size in bytes and the offset of `inner` in it, when it is a struct.
    pub(crate) fn element(&self, array: Member, inner: &str) -> Result<Option<(u32, u32)>, KernelError> {
        let array = self.resolve(array.type_id)?;
        if array.kind != KIND_ARRAY {
            return Ok(None);
        }
        let element = self.resolve(read_u32(&self.data, array.at + 12)?)?;
        match element.kind {
            KIND_STRUCT | KIND_UNION => {
                let member = self.member_of(element, inner.as_bytes())?;
                Ok(member.map(|member| (element.size_or_type, member.offset_bytes)))
            }
            KIND_PTR => Ok(Some((8, 0))),
            KIND_INT | KIND_ENUM => Ok(Some((element.size_or_type, 0))),
            _ => Ok(None),
        }
    }

    /// The value of an enumerator, in whichever enum it stands.
    pub(crate) fn enumerator(&self, name: &str) -> Result<Option<u32>, KernelError> {
        for at in &self.types {
            let found = self.at(*at as usize)?;
            if found.kind != KIND_ENUM {
                continue;
            }
            for index in 0..found.count {
                let entry = found.at + 12 + 8 * index;
                if self.is_name(read_u32(&self.data, entry)?, name.as_bytes()) {
                    return Ok(Some(read_u32(&self.data, entry + 4)?));
                }
            }
        }
        Ok(None)
    }

    /// Whether the kernel has a function of that name, static ones too.
    pub(crate) fn has_function(&self, name: &str) -> Result<bool, KernelError> {
        Ok(self.find(KIND_FUNC, name)?.is_some())
    }

    /// The arguments of a tracepoint after BPF's own first one, as "is a pointer"; `None` when there is no such
    /// tracepoint.
    pub(crate) fn tracepoint_arguments(&self, tracepoint: &str) -> Result<Option<Vec<bool>>, KernelError> {
        let Some(typedef) = self.find(KIND_TYPEDEF, &format!("btf_trace_{tracepoint}"))? else {
            return Ok(None);
        };
        let pointer = self.resolve(typedef.size_or_type)?;
        if pointer.kind != KIND_PTR {
            return Err(corrupt("btf_trace_* is not a pointer to a function"));
        }
        let function = self.resolve(pointer.size_or_type)?;
        if function.kind != KIND_FUNC_PROTO {
            return Err(corrupt("btf_trace_* is not a pointer to a function"));
        }
        let mut arguments = Vec::new();
        for index in 1..function.count {
            let type_id = read_u32(&self.data, function.at + 12 + 8 * index + 4)?;
            arguments.push(self.resolve(type_id)?.kind == KIND_PTR);
        }
        Ok(Some(arguments))
    }
}

impl Member {
    /// The same member, counted from the start of what its struct is in.
    fn within(self, base_bytes: u32) -> Result<Self, KernelError> {
        let offset_bytes = base_bytes.checked_add(self.offset_bytes).ok_or_else(|| corrupt(OFFSET))?;
        Ok(Self { offset_bytes, ..self })
    }

    /// The offset of `inner_bytes` in element `index` of an array of elements of `size_bytes` that begins here.
    pub(crate) fn element_bytes(
        self,
        size_bytes: u32,
        index: u32,
        inner_bytes: u32,
    ) -> Result<u32, KernelError> {
        let before = size_bytes.checked_mul(index).and_then(|bytes| bytes.checked_add(inner_bytes));
        before.and_then(|bytes| bytes.checked_add(self.offset_bytes)).ok_or_else(|| corrupt(OFFSET))
    }
}

impl Type {
    /// Bytes of the header and what follows it.
    fn encoded_bytes(self) -> Result<usize, KernelError> {
        let extra = match self.kind {
            // int, variable, declaration tag
            1 | 14 | 17 => 4,
            KIND_ARRAY => 12,
            // struct, union, enum64
            4 | 5 | 19 => 12 * self.count,
            // enum, function prototype
            6 | 13 => 8 * self.count,
            // data section
            15 => 12 * self.count,
            // pointer, forward, typedef, qualifiers, function, float, type tag
            2 | 7..=12 | 16 | 18 => 0,
            _ => return Err(corrupt("a kind of type that this reader does not know")),
        };
        Ok(12 + extra)
    }
}

fn kind_of(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

fn read_u32(data: &[u8], at: usize) -> Result<u32, KernelError> {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk::<4>());
    bytes.map(|b| u32::from_ne_bytes(*b)).ok_or_else(|| corrupt("ends too early"))
}

#[cfg(test)]
pub(crate) use tests::sample;

#[cfg(test)]
mod tests;
