# A P21 token in PowerShell 5.1 (.NET Framework) or 7 (.NET): loads the assembly from the package's folder.
#
#   $env:P21_BASE_URL = 'https://p21.example.com'; $env:P21_CONSUMER_KEY = '…'
#   $token = .\Get-P21Token.ps1 -Package C:\tools\LibP21Auth.0.1.0
#   Invoke-RestMethod "$env:P21_BASE_URL/odataservice/odata/table/customer?`$top=5" -Headers @{ Authorization = "Bearer $token" }
param([Parameter(Mandatory)] [string] $Package)

$target = if ($PSVersionTable.PSEdition -eq 'Core') { 'net8.0' } else { 'net462' }
$bits = if ([IntPtr]::Size -eq 8) { 'win-x64' } else { 'win-x86' }
if (-not $env:P21AUTH_LIBRARY) {
    $env:P21AUTH_LIBRARY = Join-Path $Package "runtimes\$bits\native\p21auth.dll"
}
Add-Type -Path (Join-Path $Package "lib\$target\LibP21Auth.dll")
[LibP21Auth.P21Auth]::Default.GetToken()
