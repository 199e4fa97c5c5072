-- Notes what an expired hold was charged, which the database knows and nobody here any more.
local x, at_ms, fields, cost, ttl = arg(), arg(), {arg(), arg(), arg(), arg(), arg()}, arg(), arg()
local scopes = {}
for i = 1, num(arg()) do scopes[i] = arg() end
call('SET', P .. 'z:' .. x, 'x' .. cmsgpack.pack({num(at_ms), fields, cost, scopes}), 'PX', ttl, 'NX')
return {1}
