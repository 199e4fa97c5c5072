//! The arguments of a call, piece by piece.

/// How far a call's arguments have come: an object that has closed takes no more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arguments {
    depth: u32,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Arguments {
    pub(super) fn read(&mut self, text: &[u8]) {
        for byte in text {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.begun = true;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    pub(super) fn is_whole(self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}
