if not hold then return {0} end
for _, b in ipairs(budgets) do
  for _, w in ipairs(b.windows) do
    if w.limit then by = math.min(by, w.limit - w.spent - w.held) end
  end
end
by = math.max(by, 0)
resize(hold, num(hold.amount) + by)
return {1, by}
