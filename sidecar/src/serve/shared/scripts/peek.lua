-- Whose a hold is and the scopes that it counts in: nothing when there is none.
local x = arg()
local hold = load(x)
if not hold then return {0} end
return {1, call('HGET', P .. 'h:' .. x, 'i'), hold.scopes}
