"""pgqueue in other packages: each module here imports only the package that it is for."""
