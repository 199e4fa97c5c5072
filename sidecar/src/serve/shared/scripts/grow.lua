-- Lets a hold grow as far as every hard budget has room: by how much is the last number.
local hold, by = load(arg()), num(arg())
