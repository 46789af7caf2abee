module troupe-peer

go 1.19
