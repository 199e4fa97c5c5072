-- Whether there is a hold, and whether it was settled.
local x = arg()
return {1, call('EXISTS', P .. 'h:' .. x), call('EXISTS', P .. 'z:' .. x)}
