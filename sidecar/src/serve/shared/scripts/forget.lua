-- Forgets the sums of a scope, which is counted in another group from now on.
local scope = arg()
call('DEL', P .. 'b:' .. scope, P .. 'd:' .. scope, P .. 'p:' .. scope)
return {1}
