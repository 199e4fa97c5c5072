-- Gives a scope its sums, unless others have, or its waiting charges are others than were read. ARGV[3] is
-- the version that the sums are of.
if now < num(string.sub(epoch, 1, 13)) then return {-4} end
local scope, since, seen, held = arg(), num(arg()), arg(), arg()
local b, d, p = P .. 'b:' .. scope, P .. 'd:' .. scope, P .. 'p:' .. scope
if is_ready(call('HGET', b, 'g'), since) then return {1} end
if (call('HGET', p, '') or '0') ~= seen then return {0} end
call('DEL', b, d, p)
for i = 1, num(arg()) do call('HSET', d, arg(), arg()) end
for i = 1, num(arg()) do call('HSET', b, arg(), arg()) end
call('HSET', b, 'g', ARGV[3], 'v', held)
return {1}
