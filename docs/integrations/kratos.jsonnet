// The body of Ory Kratos' SMS channel for NEXO ROUTE. Kratos' own template drops the codes of sign-in and sign-up.
function(ctx)
  local data = if std.objectHas(ctx, 'template_data') then ctx.template_data else {};
  local code(name) = if std.objectHas(data, name) && data[name] != null then data[name] else '';
  local codes = [
    code(name)
    for name in ['login_code', 'registration_code', 'verification_code', 'recovery_code']
    if code(name) != ''
  ];
  {
    to: ctx.recipient,
    code: if std.length(codes) > 0 then codes[0] else null,
  }
