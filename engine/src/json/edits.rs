//! Changes to a body, kept as splices: what is not named stays byte for byte.

use super::{Member, Span, escape_into, is_named, members};

/// Splices of one body, and members set or removed in its objects.
///
/// They may be given in any order. Of two that overlap the one that begins first wins, of two that
/// begin together the longer one, of two with the same span the later one. Insertions at one place
/// stay in the order given.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    splices: Vec<Splice>,
    objects: Vec<ObjectEdit>,
}

#[derive(Clone, Debug)]
struct Splice {
    span: Span,
    text: Vec<u8>,
}

/// Members of one object. Commas depend on all its changes together, so they are placed at the end.
#[derive(Clone, Debug)]
struct ObjectEdit {
    object: Span,
    members: Vec<(Member, Fate)>,
    added: Vec<(String, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Removed,
    Set(Vec<u8>),
}

impl Edits {
    /// Whether [`Edits::apply`] would change nothing.
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
            && self.objects.iter().all(|edit| {
                edit.added.is_empty() && edit.members.iter().all(|(_, fate)| *fate == Fate::Kept)
            })
    }

    /// Puts `text` in place of `span`.
    pub fn replace(&mut self, span: Span, text: impl Into<Vec<u8>>) {
        self.splices.push(Splice {
            span,
            text: text.into(),
        });
    }

    /// Puts `text` before the byte at `at`.
    pub fn insert(&mut self, at: usize, text: impl Into<Vec<u8>>) {
        self.replace(Span { start: at, end: at }, text);
    }

    /// Takes every member called `name` out of `object`, with its comma.
    pub fn remove_member(&mut self, body: &[u8], object: Span, name: &str) {
        let Some(edit) = self.object(body, object) else {
            return;
        };
        edit.added.retain(|(added, _)| added != name);
        for (member, fate) in &mut edit.members {
            if is_named(body, member.key, name) {
                *fate = Fate::Removed;
            }
        }
    }

    /// Gives the member called `name` of `object` a value (JSON text), adding it when there is
    /// none. Of several members of that name the last keeps its place and the others go, so that no
    /// reader can see an old value.
    pub fn set_member(&mut self, body: &[u8], object: Span, name: &str, value: impl Into<Vec<u8>>) {
        let mut value = Some(value.into());
        let Some(edit) = self.object(body, object) else {
            return;
        };
        for (member, fate) in edit.members.iter_mut().rev() {
            if is_named(body, member.key, name) {
                *fate = value.take().map_or(Fate::Removed, Fate::Set);
            }
        }
        let Some(value) = value else { return };
        match edit.added.iter_mut().find(|(added, _)| added == name) {
            Some((_, old)) => *old = value,
            None => edit.added.push((name.to_owned(), value)),
        }
    }

    /// The body with all changes made.
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        let mut splices = self.splices.clone();
        for edit in &self.objects {
            edit.splices_into(&mut splices);
        }
        let grown: usize = splices.iter().map(|splice| splice.text.len()).sum();
        // Reversed before the stable sort, so that the later of two equal spans comes first;
        // insertions are put back in order of arrival.
        let mut ordered: Vec<(usize, Splice)> = splices.into_iter().enumerate().collect();
        ordered.sort_by_key(|(arrival, splice)| {
            let Span { start, end } = splice.span;
            let insertion = end <= start;
            let tie = if insertion {
                *arrival
            } else {
                usize::MAX - *arrival
            };
            (start, !insertion, usize::MAX - end, tie)
        });
        let mut out = Vec::with_capacity(body.len().saturating_add(grown));
        let mut copied = 0;
        for (_, Splice { span, text }) in &ordered {
            if span.start < copied || span.end > body.len() {
                continue;
            }
            out.extend_from_slice(
                Span {
                    start: copied,
                    end: span.start,
                }
                .of(body),
            );
            out.extend_from_slice(text);
            copied = span.end.max(span.start);
        }
        out.extend_from_slice(body.get(copied..).unwrap_or_default());
        out
    }

    fn object(&mut self, body: &[u8], object: Span) -> Option<&mut ObjectEdit> {
        if object.of(body).first() != Some(&b'{') {
            return None;
        }
        let known = self.objects.iter().position(|edit| edit.object == object);
        let index = known.unwrap_or_else(|| {
            let members = members(body, object)
                .map(|member| (member, Fate::Kept))
                .collect();
            self.objects.push(ObjectEdit {
                object,
                members,
                added: Vec::new(),
            });
            self.objects.len() - 1
        });
        self.objects.get_mut(index)
    }
}

impl ObjectEdit {
    fn splices_into(&self, splices: &mut Vec<Splice>) {
        let survivors = self
            .members
            .iter()
            .filter(|(_, fate)| *fate != Fate::Removed)
            .count();
        self.add_into(survivors > 0, splices);
        let mut survivor_end: Option<usize> = None;
        let mut removed: Option<Span> = None;
        for (member, fate) in &self.members {
            let span = member.span();
            if *fate == Fate::Removed {
                let start = removed.map_or(span.start, |run| run.start);
                removed = Some(Span {
                    start,
                    end: span.end,
                });
                continue;
            }
            if let Fate::Set(value) = fate {
                splices.push(Splice {
                    span: member.value,
                    text: value.clone(),
                });
            }
            if let Some(run) = removed.take() {
                // The run goes with one of its two outer commas: the one before it if there is one.
                let span = match survivor_end {
                    Some(end) => Span {
                        start: end,
                        end: run.end,
                    },
                    None => Span {
                        start: run.start,
                        end: span.start,
                    },
                };
                splices.push(Splice {
                    span,
                    text: Vec::new(),
                });
            }
            survivor_end = Some(span.end);
        }
        if let Some(run) = removed {
            let start = survivor_end.unwrap_or(run.start);
            splices.push(Splice {
                span: Span {
                    start,
                    end: run.end,
                },
                text: Vec::new(),
            });
        }
    }

    fn add_into(&self, comma_behind: bool, splices: &mut Vec<Splice>) {
        if self.added.is_empty() {
            return;
        }
        let mut text = Vec::new();
        for (name, value) in &self.added {
            if !text.is_empty() {
                text.push(b',');
            }
            text.push(b'"');
            escape_into(name, &mut text);
            text.extend_from_slice(b"\":");
            text.extend_from_slice(value);
        }
        if comma_behind {
            text.push(b',');
        }
        let at = self.object.start + 1;
        splices.push(Splice {
            span: Span { start: at, end: at },
            text,
        });
    }
}
