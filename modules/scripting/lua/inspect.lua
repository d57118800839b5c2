-- Tables as people read them: inspect(value), inspect(value, {depth = 2, newline = "", indent = ""}).
--
-- The positions of a list stand first, the other keys sorted behind them. What occurs again is <table n>.

local rank = {number = 1, boolean = 2, string = 3, table = 4, ["function"] = 5, userdata = 6, thread = 7}
local words = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until while"):gmatch("%a+") do
  words[word] = true
end

local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return rank[ta] < rank[tb] end
  if ta == "number" or ta == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local escapes = {["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ["\""] = "\\\"", ["\127"] = "\\127"}
local function quoted(s)
  return '"' .. s:gsub('[%c\\"\127]', function(c) return escapes[c] or ("\\%03d"):format(c:byte()) end) .. '"'
end

local function inspect(root, options)
  options = options or {}
  local depth, newline, indent = options.depth or math.huge, options.newline or "\n", options.indent or "  "
  local times, ids, n, out = {}, {}, 0, {}

  local function count(v)
    if type(v) ~= "table" or getmetatable(v) == false then return end
    times[v] = (times[v] or 0) + 1
    if times[v] > 1 then return end
    for k, item in next, v do
      count(k)
      count(item)
    end
    count(getmetatable(v))
  end
  count(root)

  local function add(...) for _, piece in ipairs {...} do out[#out + 1] = piece end end

  local function id(v)
    if not ids[v] then
      n = n + 1
      ids[v] = n
    end
    return ids[v]
  end

  local write
  local function write_table(v, level)
    if ids[v] then return add("<table ", ids[v], ">") end
    if level >= depth then return add("{...}") end
    if times[v] > 1 then add("<", id(v), ">") end
    local length, keys = rawlen(v), {}
    for k in next, v do
      if not (math.type(k) == "integer" and k >= 1 and k <= length) then keys[#keys + 1] = k end
    end
    table.sort(keys, before)
    local meta = getmetatable(v)
    local lines = newline .. indent:rep(level + 1)
    local first = true
    local function comma()
      if not first then add(",") end
      first = false
    end
    add("{")
    for i = 1, length do
      comma()
      add(" ")
      write(rawget(v, i), level + 1)
    end
    for _, k in ipairs(keys) do
      comma()
      add(lines)
      if type(k) == "string" and k:find("^[%a_][%w_]*$") and not words[k] then
        add(k)
      else
        add("[")
        write(k, level + 1)
        add("]")
      end
      add(" = ")
      write(rawget(v, k), level + 1)
    end
    if type(meta) == "table" then
      comma()
      add(lines, "<metatable> = ")
      write(meta, level + 1)
    end
    if #keys > 0 or type(meta) == "table" then
      add(newline, indent:rep(level))
    elseif length > 0 then
      add(" ")
    end
    add("}")
  end

  function write(v, level)
    local kind = type(v)
    if kind == "string" then
      add(quoted(v))
    elseif kind == "table" and getmetatable(v) == false then
      add(tostring(v)) -- a structured error, or an integer above 64 bits
    elseif kind == "table" then
      write_table(v, level)
    elseif kind == "number" or kind == "boolean" or v == nil then
      add(tostring(v))
    else
      add("<", kind, " ", id(v), ">")
    end
  end

  write(root, 0)
  return table.concat(out)
end

return setmetatable({inspect = inspect}, {__call = function(_, ...) return inspect(...) end})
